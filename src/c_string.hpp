// Strings from C programs, which may not end where they should.
#pragma once

#include <vcsm/types.hpp>

#include <cstddef>
#include <string_view>

namespace vcsm::detail {

/// The string at `text`, up to its end, `limit` bytes, or the end of the memory that can be read: whatever comes first.
/// Empty for nullptr. Never reads a byte that cannot be read, but for a `text` that itself points to none.
[[nodiscard]] VCSM_API std::string_view bounded_string(const char* text, std::size_t limit) noexcept;

} // namespace vcsm::detail
