// This process's number, without a system call for each block.
#pragma once

#include <sys/types.h>

namespace vcsm::detail {

/// As getpid(), once the service sees forks; the child of a clone() that tells no handler of forks has its parent's.
[[nodiscard]] pid_t own_process() noexcept;
/// In the child of a fork.
void renew_own_process_in_child() noexcept;

} // namespace vcsm::detail
