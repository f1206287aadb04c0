// /dev/vcsm-cma: contiguous memory that VideoCore knows by a handle.
#pragma once

#include "device/device.hpp"

namespace vcsm::device {

/// Throws vcsm::error.
[[nodiscard]] std::unique_ptr<device> open_vcsm_cma();

} // namespace vcsm::device
