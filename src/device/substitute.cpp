#include "device/substitute.hpp"

#include <sys/mman.h>

namespace vcsm::device {

void substitute(kernel::mapping& mapped) noexcept {
    if (!mapped) {
        return;
    }
    const void* const placed = kernel::system().mmap(mapped.data(), mapped.size(), PROT_READ | PROT_WRITE,
                                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (placed != mapped.data()) {
        mapped.reset(); // no memory for that: an access faults, which is better than one to another's memory
    }
}

} // namespace vcsm::device
