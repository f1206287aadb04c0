// /dev/vcsm of kernels up to 5.4: VideoCore's own memory, lent to 32-bit programs.
#pragma once

#include "device/device.hpp"

namespace vcsm::device {

/// Throws vcsm::error: not_supported for a program of other than 32 bits, whose addresses the driver cannot express.
[[nodiscard]] std::unique_ptr<device> open_vcsm_legacy(unsigned program_bits = 8 * sizeof(void*));

} // namespace vcsm::device
