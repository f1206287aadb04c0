#include "kernel/syscalls.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include <dirent.h>
#include <sys/mman.h>
#include <unistd.h>

namespace vcsm::kernel {

void throw_errno(const char* call) {
    throw std::system_error{errno, std::generic_category(), call};
}

int above_standard_streams(int descriptor) noexcept {
    const int saved = errno;
    const int above = retried([&] { return system().fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1); });
    if (above >= 0) {
        system().close(descriptor);
    }
    errno = saved;
    return above >= 0 ? above : descriptor;
}

void unique_fd::reset(int descriptor) noexcept {
    const int old = std::exchange(descriptor_, kept(descriptor));
    if (old >= 0) {
        const int saved = errno;
        // Linux has closed it even when close() says EINTR: repeating could close another thread's descriptor.
        system().close(old);
        errno = saved;
    }
}

void mapping::reset() noexcept {
    if (address_ != nullptr) {
        const int saved = errno;
        system().munmap(address_, bytes_);
        errno = saved;
        forget();
    }
}

std::size_t page_size() noexcept {
    static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return bytes;
}

std::size_t round_up_to_pages(std::size_t bytes) noexcept {
    const std::size_t mask = page_size() - 1;
    return bytes > SIZE_MAX - mask ? 0 : (bytes + mask) & ~mask;
}

unique_fd try_open(const std::string& path, int flags) noexcept {
    return unique_fd{retried([&] { return system().open(path.c_str(), flags | O_CLOEXEC, 0); })};
}

unique_fd open(const std::string& path, int flags) {
    unique_fd opened = try_open(path, flags);
    if (!opened) {
        throw_errno("open");
    }
    return opened;
}

std::string_view link_of(int descriptor, std::span<char> into) noexcept {
    constexpr std::string_view directory = "/proc/self/fd/";
    std::array<char, directory.size() + 12> path{}; // no std::string: it could need memory
    const auto number = std::copy(directory.begin(), directory.end(), path.begin());
    std::to_chars(number, path.end() - 1, descriptor);
    const ssize_t length = system().readlink(path.data(), into.data(), into.size());
    return {into.data(), length < 0 ? 0 : static_cast<std::size_t>(length)};
}

unique_fd duplicate(int descriptor) {
    unique_fd second{retried([&] { return system().fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1); })};
    if (!second) {
        throw_errno("fcntl(F_DUPFD_CLOEXEC)");
    }
    return second;
}

mapping map_shared(int descriptor, std::size_t bytes, off_t offset) {
    void* address = MAP_FAILED; // NOLINT(performance-no-int-to-ptr): the C library's own constant
    do { // EAGAIN is not repeated: here it means too much locked memory, which waiting does not mend
        address = system().mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, offset);
    } while (address == MAP_FAILED && errno == EINTR); // NOLINT(performance-no-int-to-ptr)
    if (address == MAP_FAILED) { // NOLINT(performance-no-int-to-ptr): the C library's own constant
        throw_errno("mmap");
    }
    mapping mapped{static_cast<std::byte*>(address), bytes};
    if (retried([&] { return system().madvise(address, bytes, MADV_DONTFORK); }) != 0) {
        throw_errno("madvise(MADV_DONTFORK)");
    }
    return mapped;
}

int ioctl(int descriptor, unsigned long request, void* argument) noexcept {
    return retried([&] { return system().ioctl(descriptor, request, argument); }) == -1 ? errno : 0;
}

std::string read_text(const std::string& path, std::size_t limit) {
    const unique_fd file = open(path, O_RDONLY);
    std::string text;
    std::array<char, 16384> piece;
    while (text.size() < limit) {
        const std::size_t wanted = std::min(piece.size(), limit - text.size());
        const ssize_t got = retried([&] { return system().read(file.get(), piece.data(), wanted); });
        if (got < 0) {
            throw_errno("read");
        }
        if (got == 0) {
            break;
        }
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return text;
}

std::vector<std::string> list_directory(const std::string& path) {
    const unique_fd directory = open(path, O_RDONLY | O_DIRECTORY);
    std::vector<std::string> names;
    alignas(struct dirent64) std::array<char, 16384> piece;
    for (;;) {
        const ssize_t got = retried([&] { return system().getdents64(directory.get(), piece.data(), piece.size()); });
        if (got < 0) {
            throw_errno("getdents64");
        }
        if (got == 0) {
            break;
        }
        for (ssize_t at = 0; at < got;) {
            const char* const entry = piece.data() + at;
            unsigned short length = 0;
            std::memcpy(&length, entry + offsetof(struct dirent64, d_reclen), sizeof length);
            const std::string name{entry + offsetof(struct dirent64, d_name)};
            if (name != "." && name != "..") {
                names.push_back(name);
            }
            at += length;
        }
    }
    std::sort(names.begin(), names.end());
    return names;
}

void write_all(int descriptor, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t put = retried([&] { return system().write(descriptor, bytes.data(), bytes.size()); });
        if (put < 0) {
            throw_errno("write");
        }
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
}

} // namespace vcsm::kernel
