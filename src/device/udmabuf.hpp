// /dev/udmabuf: a dma-buf of ordinary pages, on any Linux.
#pragma once

#include "device/device.hpp"

namespace vcsm::device {

/// Throws vcsm::error.
[[nodiscard]] std::unique_ptr<device> open_udmabuf();

} // namespace vcsm::device
