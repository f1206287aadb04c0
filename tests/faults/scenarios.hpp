// The scenarios that every fault is tried in.
#pragma once

#include "faults/trial.hpp"

#include <memory>
#include <vector>

namespace faults {

/// On the simulated VideoCore.
[[nodiscard]] std::vector<scenario> core_scenarios();
[[nodiscard]] std::vector<scenario> pool_scenarios();
/// On every kernel interface.
[[nodiscard]] std::vector<scenario> device_scenarios();
/// Through the functions of user-vcsm.h; none where libvcsm is not built.
[[nodiscard]] std::vector<scenario> c_scenarios();
/// A Raspberry Pi with every driver there is.
[[nodiscard]] std::unique_ptr<board> a_raspberry_pi();

} // namespace faults
