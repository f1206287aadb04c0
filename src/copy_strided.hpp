// Copies between arrays of any shape, order and strides, element by element, without a buffer in between.
#pragma once

#include <vcsm/strided.hpp>

#include <cstddef>
#include <span>

namespace vcsm::detail {

/// One array's elements, and where another of the same shape has them. All strides are in bytes and may be zero (in
/// the source) or negative; the pointers that go with them are to element [0, 0, …].
struct strided_layout {
    std::size_t element_bytes = 1;
    std::span<const std::size_t> shape;           ///< elements along each axis; none: one element
    std::span<const std::ptrdiff_t> to_strides;   ///< one for each axis
    std::span<const std::ptrdiff_t> from_strides; ///< one for each axis
};

/// As many axes as a buffer of Python's or NumPy's can have.
inline constexpr std::size_t most_axes = most_dimensions;

/// Copies every element. The two arrays must not overlap; there are at most `most_axes` axes.
VCSM_API void copy_strided(std::byte* to, const std::byte* from, const strided_layout& layout) noexcept;

} // namespace vcsm::detail
