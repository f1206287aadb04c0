// The words that every layer speaks: cache modes, and what makes a function part of the library's interface.
#pragma once

#include <string_view>

/// Marks what libvcsmxx.so exports; everything else in it is hidden.
#define VCSM_API __attribute__((visibility("default")))

namespace vcsm {

/// Who caches a block. The numbers are those of VCSM_CACHE_TYPE_T in user-vcsm.h.
enum class cache_mode : unsigned {
    none = 0,      ///< nobody: the CPU's accesses go to memory, slow to read, coherent
    host = 1,      ///< the CPU: fast to read; locking and unlocking move the data
    videocore = 2, ///< VideoCore
    both = 3       ///< the CPU and VideoCore
};

/// Whether the CPU caches a block of this mode.
[[nodiscard]] constexpr bool is_host_cached(cache_mode mode) noexcept {
    return (static_cast<unsigned>(mode) & static_cast<unsigned>(cache_mode::host)) != 0;
}

/// "none", "host", "videocore" or "both".
[[nodiscard]] VCSM_API std::string_view to_string(cache_mode mode) noexcept;

/// The mode of that name. Throws std::invalid_argument, which lists the known names, for any other.
[[nodiscard]] VCSM_API cache_mode parse_cache_mode(std::string_view name);

} // namespace vcsm
