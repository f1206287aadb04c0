// /dev/vcsm of kernels up to 5.4: VideoCore's own memory, lent to 32-bit programs.
#pragma once

#include "device/device.hpp"
#include "device/report.hpp"

namespace vcsm::device {

/// Throws vcsm::error: not_supported for a program of other than 32 bits, whose addresses the driver cannot express.
[[nodiscard]] std::unique_ptr<device> open_vcsm_legacy(unsigned program_bits = 8 * sizeof(void*));
/// The same with a descriptor of it. Throws vcsm::error about `what`, with ENOTTY where its answers are another's, and
/// EBADF where it is not open for reading and writing.
[[nodiscard]] std::unique_ptr<device> adopt_vcsm_legacy(kernel::unique_fd node, const about& what,
                                                        unsigned program_bits = 8 * sizeof(void*));

} // namespace vcsm::device
