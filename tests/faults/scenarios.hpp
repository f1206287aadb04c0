// The scenarios that every fault is tried in.
#pragma once

#include "faults/trial.hpp"

#include <vector>

namespace faults {

/// On the simulated VideoCore.
[[nodiscard]] std::vector<scenario> core_scenarios();
[[nodiscard]] std::vector<scenario> pool_scenarios();
/// On every kernel interface.
[[nodiscard]] std::vector<scenario> device_scenarios();

} // namespace faults
