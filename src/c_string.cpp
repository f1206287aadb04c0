#include "c_string.hpp"

#include "kernel/syscalls.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include <sys/syscall.h>
#include <unistd.h>

namespace vcsm::detail {

namespace {

// Whether a page can be read, without reading it: the kernel fetches a set of signals from its beginning, and then
// refuses what is to be done with it. That works on every kernel and in every sandbox, which process_vm_readv() does
// not.
bool is_readable(const char* page) noexcept {
    constexpr int nothing_known = -1;
    constexpr std::size_t set_bytes = 8;
    const int before = errno;
    const long refused = ::syscall(SYS_rt_sigprocmask, nothing_known, page, nullptr, set_bytes);
    const bool readable = refused != 0 && errno != EFAULT;
    errno = before;
    return readable;
}

} // namespace

std::string_view bounded_string(const char* text, std::size_t limit) noexcept {
    if (text == nullptr) {
        return {};
    }
    const std::size_t page = kernel::page_size();
    std::size_t length = 0;
    while (length < limit) {
        // Up to the end of the page nothing can happen. Strings seldom reach into another.
        const char* const at = text + length;
        const std::size_t left_in_page = page - reinterpret_cast<std::uintptr_t>(at) % page;
        if (length > 0 && !is_readable(at)) {
            break;
        }
        const std::size_t here = std::min(left_in_page, limit - length);
        const std::size_t found = ::strnlen(at, here);
        length += found;
        if (found < here) {
            break;
        }
    }
    return {text, length};
}

} // namespace vcsm::detail
