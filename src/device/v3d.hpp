// DRM's render nodes on Raspberry Pis: V3D (Pi 4 and 5) and VC4 (Pi 0 to 3), buffers of the 3D engine.
#pragma once

#include "device/device.hpp"

namespace vcsm::device {

/// The first render node whose driver is v3d or vc4. Throws vcsm::error.
[[nodiscard]] std::unique_ptr<device> open_v3d();

} // namespace vcsm::device
