// Devices know nothing of blocks' names: what they throw is completed on its way to the user.
#pragma once

#include <vcsm/error.hpp>

namespace vcsm::detail {

/// In a handler: throws what is being handled again. An error that a device or the kernel gave (vcsm::error,
/// std::system_error) becomes a vcsm::error about `about`, with its own errno and remedy; vcsm::no_block, and whatever
/// is no std::system_error, stays what it is.
[[noreturn]] void rethrow_about(failure about);

} // namespace vcsm::detail
