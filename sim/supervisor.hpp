// The process that starts the program and answers its calls until the last of its processes is gone.
#pragma once

#include "simulation.hpp"

#include "kernel/syscalls.hpp"

namespace vcsm::sim {

/// Exit codes of vcsm-sim's own, as a shell's and env(1)'s.
inline constexpr int exit_own_failure = 125;
inline constexpr int exit_cannot_run = 126;
inline constexpr int exit_not_found = 127;
inline constexpr int exit_signal_base = 128;

/// Runs the program; gives the exit code. `keeper` is the socket to the keeper, to whom it sends the listener and the
/// program's number; `scratch` is a directory of this run's own. Throws std::exception with a sentence for the user.
[[nodiscard]] int supervise(const options& chosen, kernel::unique_fd keeper, const std::string& scratch);

} // namespace vcsm::sim
