// The scenarios that every fault is tried in.
#pragma once

#include "faults/trial.hpp"

#include <vector>

namespace faults {

/// On the simulated VideoCore.
[[nodiscard]] std::vector<scenario> core_scenarios();

} // namespace faults
