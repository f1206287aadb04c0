// /dev/vcsm-cma: contiguous memory that VideoCore knows by a handle.
#pragma once

#include "device/device.hpp"
#include "device/report.hpp"

namespace vcsm::device {

/// Throws vcsm::error.
[[nodiscard]] std::unique_ptr<device> open_vcsm_cma();
/// The same with a descriptor of it; what other devices do with that request is not known, so it must be one by all
/// that the kernel tells. Throws vcsm::error about `what`: ENOTTY where its answers are another's, EBADF where it
/// cannot be asked.
[[nodiscard]] std::unique_ptr<device> adopt_vcsm_cma(kernel::unique_fd node, const about& what);

} // namespace vcsm::device
