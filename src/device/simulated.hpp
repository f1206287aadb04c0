// The device `simulated`: the VideoCore model, inside this process.
#pragma once

#include "device/device.hpp"
#include "videocore/model.hpp"

#include <memory>

namespace vcsm::device {

inline constexpr std::string_view simulated_name = "simulated";
inline constexpr capabilities simulated_gives{true, true, true, true};
/// A simulated block's size is bounded by its VideoCore's memory; this is what the model can express.
inline constexpr std::size_t simulated_max_bytes = static_cast<std::size_t>(PTRDIFF_MAX) / 4;

/// The device, on the process's simulated VideoCore. Throws vcsm::error where VCSM_SIM_MEMORY or VCSM_SIM_FAULTS make
/// no sense, or there is no memory for it.
[[nodiscard]] std::shared_ptr<device> open_simulated();

/// This process's simulated VideoCore, made at the first call. Throws as open_simulated(). This and the next are
/// exported for the tests of the face in Python.
[[nodiscard, gnu::visibility("default")]] std::shared_ptr<videocore::model> simulated_videocore();
/// Whether there is one now.
[[nodiscard, gnu::visibility("default")]] bool simulated_exists() noexcept;
/// The next call of simulated_videocore() makes a new one.
void forget_simulated_videocore() noexcept;
/// In the child of a fork: the parent's is not this process's.
void abandon_simulated_videocore() noexcept;

} // namespace vcsm::device
