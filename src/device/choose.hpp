// Which devices there are, and which one is used.
#pragma once

#include "device/device.hpp"

#include <vcsm/service.hpp>

#include <memory>
#include <string_view>
#include <vector>

namespace vcsm::device {

/// The device of that name. Throws std::invalid_argument, which lists the known ones, for any other; vcsm::error where
/// it cannot be opened.
[[nodiscard]] std::shared_ptr<device> open(std::string_view name);

/// The device that an open descriptor is of: /dev/vcsm-cma, /dev/vcsm in 32-bit programs, or a dma-heap. The descriptor
/// stays the caller's. Throws vcsm::error: EBADF for one that is not open, or not so that the device can be used;
/// ENODEV for one of anything else, of which nothing is asked.
[[nodiscard]] std::shared_ptr<device> adopt(int descriptor);

/// VCSM_DEVICE if it is set; else on a Raspberry Pi the first that opens; else the simulated VideoCore, which is said
/// in one line on standard error, once. Throws vcsm::error.
[[nodiscard]] std::shared_ptr<device> choose();

/// All that the library knows, in the order in which they would be chosen. `open` names what the service has open, or
/// is empty.
[[nodiscard]] std::vector<device_info> survey(std::string_view open);

} // namespace vcsm::device
