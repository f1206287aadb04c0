// This process's number, without a system call for each block.
#pragma once

#include <sys/types.h>

namespace vcsm::detail {

/// As getpid(), but for the child of a clone() that tells no handler of forks: there it is the parent's.
[[nodiscard]] pid_t own_process() noexcept;

} // namespace vcsm::detail
