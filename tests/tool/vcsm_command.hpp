// The command `vcsm` of this build, as a user types it.
#pragma once

#include "running.hpp"

#include <string>
#include <vector>

namespace vcsm_tests {

inline std::vector<std::string> vcsm_command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), VCSM_COMMAND);
    return arguments;
}

/// Runs `vcsm ARGUMENTS…` on the simulated device, unless the surroundings say otherwise.
inline finished vcsm(const std::vector<std::string>& arguments, surroundings around = {}) {
    around.environment.emplace("VCSM_DEVICE", "simulated");
    return run(vcsm_command(arguments), around);
}

} // namespace vcsm_tests
