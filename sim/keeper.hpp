// The process that the user starts. It keeps a second copy of the listener and the rights of a parent, so that no
// program is left behind, waiting for an answer, when the supervisor dies.
#pragma once

#include "simulation.hpp"

namespace vcsm::sim {

/// Starts the supervisor, passes signals on to the program, and gives the exit code.
[[nodiscard]] int keep(const options& chosen);

} // namespace vcsm::sim
