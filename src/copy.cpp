#include "copy.hpp"

#include <cstring>

namespace vcsm::detail {

void copy_bytes(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    if (bytes > 0) {
        std::memmove(to, from, bytes);
    }
}

} // namespace vcsm::detail
