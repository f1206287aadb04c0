#include "target.hpp"

#include "kernel/syscalls.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstring>

#include <sys/uio.h>
#include <unistd.h>

namespace vcsm::sim {

std::optional<std::string> link_text(const std::string& path) {
    std::array<char, PATH_MAX> text;
    const ssize_t length = ::readlink(path.c_str(), text.data(), text.size());
    if (length < 0) {
        return std::nullopt;
    }
    return std::string{text.data(), static_cast<std::size_t>(length)};
}

std::string text_of(const std::string& path) noexcept {
    try {
        return kernel::read_text(path);
    } catch (const std::exception&) {
        return {};
    }
}

std::optional<long> status_number(const std::string& status, const char* name) {
    const std::string wanted = std::string{"\n"} + name + ":\t";
    const std::size_t at = status.find(wanted);
    if (at == std::string::npos) {
        return std::nullopt;
    }
    return std::strtol(status.c_str() + at + wanted.size(), nullptr, 0);
}

namespace {

/// Fields of /proc/PID/stat from the third on, or nothing.
std::optional<std::string> stat_fields(pid_t process) {
    std::string text = text_of("/proc/" + std::to_string(process) + "/stat");
    const std::size_t end_of_name = text.rfind(") ");
    if (end_of_name == std::string::npos) {
        return std::nullopt;
    }
    return text.substr(end_of_name + 2);
}

std::uint64_t field(const std::string& fields, unsigned number) {
    std::size_t at = 0;
    for (unsigned i = 3; i < number && at != std::string::npos; ++i) {
        at = fields.find(' ', at);
        at = at == std::string::npos ? at : at + 1;
    }
    std::uint64_t value = 0;
    if (at != std::string::npos) {
        std::from_chars(fields.data() + at, fields.data() + fields.size(), value);
    }
    return value;
}

} // namespace

std::string name_of(pid_t process) {
    std::string name = text_of("/proc/" + std::to_string(process) + "/comm");
    while (!name.empty() && name.back() == '\n') {
        name.pop_back();
    }
    return name;
}

pid_t parent_of(pid_t process) {
    const auto fields = stat_fields(process);
    return fields ? static_cast<pid_t>(field(*fields, 4)) : 0;
}

std::uint64_t start_of(pid_t process) {
    const auto fields = stat_fields(process);
    return fields ? field(*fields, 22) : 0;
}

std::vector<int> descriptors_of(pid_t process) {
    std::vector<int> numbers;
    try {
        for (const std::string& name : kernel::list_directory("/proc/" + std::to_string(process) + "/fd")) {
            int number = -1;
            std::from_chars(name.data(), name.data() + name.size(), number);
            numbers.push_back(number);
        }
    } catch (const std::system_error&) {
        numbers.clear(); // the process is gone
    }
    return numbers;
}

pid_t target::process() const {
    const auto group = status_number(text_of(proc("status")), "Tgid");
    return group ? static_cast<pid_t>(*group) : thread_;
}

std::string target::proc(const char* what) const {
    return "/proc/" + std::to_string(thread_) + "/" + what;
}

std::string target::proc_fd(int descriptor) const {
    return "/proc/" + std::to_string(thread_) + "/fd/" + std::to_string(descriptor);
}

bool target::read(std::uint64_t address, std::span<std::byte> into) const noexcept {
    if (into.empty()) {
        return true;
    }
    const iovec here{into.data(), into.size()};
    const iovec there{reinterpret_cast<void*>(address), into.size()}; // NOLINT(performance-no-int-to-ptr)
    return ::process_vm_readv(thread_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(into.size());
}

bool target::write(std::uint64_t address, std::span<const std::byte> from) const noexcept {
    if (from.empty()) {
        return true;
    }
    const iovec here{const_cast<std::byte*>(from.data()), from.size()};
    const iovec there{reinterpret_cast<void*>(address), from.size()}; // NOLINT(performance-no-int-to-ptr)
    return ::process_vm_writev(thread_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(from.size());
}

int target::read_text(std::uint64_t address, std::string& into, std::size_t limit) const {
    into.clear();
    // Never across the end of a page in one piece: the next may be nobody's.
    constexpr std::size_t piece_bytes = 256;
    std::array<char, piece_bytes> piece;
    while (into.size() < limit) {
        const std::size_t to_the_end = piece_bytes - address % piece_bytes;
        const std::size_t wanted = std::min(to_the_end, limit - into.size());
        if (!read(address, std::as_writable_bytes(std::span{piece.data(), wanted}))) {
            return EFAULT;
        }
        const std::string_view text{piece.data(), wanted};
        const std::size_t length = text.find('\0');
        into.append(text.substr(0, length));
        if (length != std::string_view::npos) {
            return 0;
        }
        address += wanted;
    }
    return ENAMETOOLONG;
}

std::optional<struct stat> target::look_at(int descriptor) const noexcept {
    std::array<char, 48> path;
    std::snprintf(path.data(), path.size(), "/proc/%d/fd/%d", static_cast<int>(thread_), descriptor);
    struct stat status {};
    if (descriptor < 0 || ::stat(path.data(), &status) != 0) {
        return std::nullopt;
    }
    return status;
}

} // namespace vcsm::sim
