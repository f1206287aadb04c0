// Copies between arrays whose elements do not lie side by side: a column, every second pixel, a rectangle of an image.
#pragma once

#include <vcsm/types.hpp>

#include <cstddef>
#include <span>

namespace vcsm {

/// Two arrays of one shape, and where their elements lie.
///
///     // every second column of a picture of 8-bit pixels
///     const std::size_t shape[] = {height, width / 2};
///     const std::ptrdiff_t into[] = {static_cast<std::ptrdiff_t>(width / 2), 1};
///     const std::ptrdiff_t out_of[] = {static_cast<std::ptrdiff_t>(width), 2};
///     auto view = block.lock(vcsm::access::write);
///     vcsm::copy_strided(view.data(), picture, {1, shape, into, out_of});
struct strided {
    std::size_t element_bytes = 1; ///< of one element
    /// Elements in each dimension, the outermost first. Empty: a single element.
    std::span<const std::size_t> shape;
    /// Bytes from one element to the next in each dimension: any number, below 0 too. 0 in the source repeats an
    /// element.
    std::span<const std::ptrdiff_t> target_strides;
    std::span<const std::ptrdiff_t> source_strides; ///< in the same way
};

/// The largest number of dimensions.
inline constexpr std::size_t most_dimensions = 64;

/// Copies every element, without a buffer in between; `target` and `source` are those of the first. Which is copied
/// first is not promised, and the arrays must not overlap. It does not check that they are all memory of the caller's.
/// Throws std::invalid_argument where the numbers of dimensions differ or are more than most_dimensions, or the
/// element has no bytes; then nothing is copied.
VCSM_API void copy_strided(std::byte* target, const std::byte* source, const strided& how);

} // namespace vcsm
