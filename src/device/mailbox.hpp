// /dev/vcio, the firmware's mailbox: VideoCore's own memory for root, as QPU programs take it.
#pragma once

#include "device/device.hpp"

namespace vcsm::device {

/// Throws vcsm::error.
[[nodiscard]] std::unique_ptr<device> open_mailbox();

} // namespace vcsm::device
