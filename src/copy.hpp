// Copies into and out of blocks.
#pragma once

#include <vcsm/types.hpp>

#include <cstddef>

namespace vcsm::detail {

/// Copies `bytes`; the ranges may overlap.
VCSM_API void copy_bytes(std::byte* to, const std::byte* from, std::size_t bytes) noexcept;

} // namespace vcsm::detail
