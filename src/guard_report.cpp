#include "guard_report.hpp"

#include "kernel/syscalls.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <ucontext.h>
#include <unistd.h>

namespace vcsm::detail {

namespace {

/// A line that is put together without memory.
class line {
  public:
    line& operator<<(std::string_view text) noexcept {
        const std::size_t bytes = std::min(text.size(), room());
        std::memcpy(text_.data() + used_, text.data(), bytes);
        used_ += bytes;
        return *this;
    }
    line& number(std::uint64_t value, int base = 10) noexcept {
        std::array<char, 24> digits{};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
        return *this << std::string_view{digits.data(), static_cast<std::size_t>(end - digits.data())};
    }
    void put() noexcept {
        text_[used_++] = '\n';
        (void)kernel::retried([&] { return kernel::system().write(STDERR_FILENO, text_.data(), used_); });
    }

  private:
    [[nodiscard]] std::size_t room() const noexcept { return text_.size() - used_ - 1; }
    std::array<char, 1024> text_{};
    std::size_t used_ = 0;
};

/// Where the program was, or 0 on a processor that this does not know.
std::uintptr_t program_counter(const void* context) noexcept {
    [[maybe_unused]] const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    return static_cast<std::uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__i386__)
    return static_cast<std::uintptr_t>(machine.gregs[REG_EIP]);
#elif defined(__aarch64__)
    return static_cast<std::uintptr_t>(machine.pc);
#elif defined(__arm__)
    return static_cast<std::uintptr_t>(machine.arm_pc);
#else
    return 0;
#endif
}

/// "access" where the processor does not say.
std::string_view kind_of_access(const void* context, bool readable) noexcept {
#if defined(__x86_64__) || defined(__i386__)
    const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
    constexpr greg_t write_bit = 2;
    return (machine.gregs[REG_ERR] & write_bit) != 0 ? "write" : "read";
#else
    (void)context;
    return readable ? "write" : "access";
#endif
    (void)readable;
}

/// Takes a hexadecimal number off the front of `text`.
std::uintptr_t take_hexadecimal(std::string_view& text) noexcept {
    std::uintptr_t value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value, 16).ptr;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

/// Adds "/usr/bin/program+0x1234" for an address of code, if a line of /proc/self/maps has it.
bool add_place(line& to, std::string_view mapping, std::uintptr_t address) noexcept {
    // 55d0c2a00000-55d0c2a21000 r-xp 00002000 fe:01 1234   /usr/bin/program
    const std::uintptr_t first = take_hexadecimal(mapping);
    mapping.remove_prefix(mapping.empty() ? 0 : 1);
    const std::uintptr_t end = take_hexadecimal(mapping);
    if (address < first || address >= end || mapping.size() < 6) {
        return false;
    }
    mapping.remove_prefix(6); // " r-xp "
    const std::uintptr_t offset = take_hexadecimal(mapping);
    const std::size_t path = mapping.find('/');
    if (path == std::string_view::npos) {
        return false;
    }
    (to << mapping.substr(path) << "+0x").number(address - first + offset, 16);
    return true;
}

void add_place(line& to, std::uintptr_t address) noexcept {
    const int maps = kernel::system().open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    std::array<char, 4096> text{};
    std::size_t used = 0;
    bool found = false;
    while (maps >= 0 && !found) {
        const ssize_t got =
            kernel::retried([&] { return kernel::system().read(maps, text.data() + used, text.size() - used); });
        if (got <= 0) {
            break;
        }
        used += static_cast<std::size_t>(got);
        std::string_view rest{text.data(), used};
        for (std::size_t end = rest.find('\n'); end != std::string_view::npos && !found; end = rest.find('\n')) {
            found = add_place(to, rest.substr(0, end), address);
            rest.remove_prefix(end + 1);
        }
        if (rest.size() == text.size()) {
            break; // a line longer than all of it
        }
        std::memmove(text.data(), rest.data(), rest.size());
        used = rest.size();
    }
    if (maps >= 0) {
        kernel::system().close(maps);
    }
    if (!found) {
        (to << "address 0x").number(address, 16);
    }
}

} // namespace

void guard_report(const guard::entry& about, std::size_t offset, const void* context) noexcept {
    const unsigned state = about.state.load(std::memory_order_relaxed);
    line said;
    said << "vcsm: stray " << kind_of_access(context, state == guard::entry::locked_to_read) << " of byte ";
    said.number(offset) << " of block \"" << about.name.data() << "\", which ";
    if (state == guard::entry::never_locked) {
        said << "was never locked";
    } else if (state == guard::entry::locked_to_read) {
        said << "is locked for reading alone";
    } else {
        struct timespec now {};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        const std::int64_t nanoseconds =
            (now.tv_sec - about.unlocked_seconds.load(std::memory_order_relaxed)) * 1000000000 +
            (now.tv_nsec - about.unlocked_nanoseconds.load(std::memory_order_relaxed));
        said << "was unlocked ";
        said.number(static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 0)) / 1000)
            << " us before, by thread ";
        said.number(static_cast<std::uint64_t>(about.unlocked_by.load(std::memory_order_relaxed)));
    }
    said << "; made at ";
    add_place(said, program_counter(context));
    said.put();
}

} // namespace vcsm::detail
