// What stands in for memory that is given back while somebody may still look at it.
#pragma once

#include "kernel/syscalls.hpp"

namespace vcsm::device {

/// Puts private memory, all zero, at a mapping's addresses: for devices whose memory is another's as soon as it is
/// freed. What was there goes with the mapping; whoever still reads it reads zeros, and harms nobody by writing.
void substitute(kernel::mapping& mapped) noexcept;

} // namespace vcsm::device
