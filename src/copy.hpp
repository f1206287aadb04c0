// Copies into and out of blocks.
#pragma once

#include <vcsm/types.hpp>

#include <cstddef>

namespace vcsm::detail {

/// Who reads next what a copy writes.
enum class next_reader : unsigned char {
    videocore, ///< it reads memory, not the CPU's caches: large copies need not go through these
    cpu        ///< the program that asked for the copy
};

/// Copies `bytes`, the fastest way for that many (see copy.cpp); the ranges may overlap.
VCSM_API void copy_bytes(std::byte* to, const std::byte* from, std::size_t bytes,
                         next_reader next = next_reader::videocore) noexcept;

} // namespace vcsm::detail
