#include "c_string.hpp"

#include "kernel/syscalls.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <unistd.h>

namespace vcsm::detail {

namespace {

// Whether the kernel could read that byte of this process; it does not fault on those that cannot be read.
bool is_readable(const char* byte) noexcept {
    char copy = 0;
    const struct iovec local = {&copy, 1};
    const struct iovec remote = {const_cast<char*>(byte), 1};
    return kernel::retried([&] { return kernel::system().process_vm_readv(::getpid(), &local, 1, &remote, 1, 0); }) ==
           1;
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
