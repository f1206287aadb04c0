// What is said on standard error, for VCSM_LOG=error|info|debug. Silent unless asked.
#pragma once

#include <vcsm/types.hpp>

#include <string_view>

namespace vcsm::log {

enum class level : unsigned char { silent, error, info, debug };

/// What VCSM_LOG asks for; unknown words ask for nothing.
[[nodiscard]] VCSM_API level wanted() noexcept;
/// One line, "vcsm: …", if it is wanted. Never throws.
VCSM_API void write(level how, std::string_view sentence) noexcept;

inline void error(std::string_view sentence) noexcept {
    write(level::error, sentence);
}
inline void info(std::string_view sentence) noexcept {
    write(level::info, sentence);
}
inline void debug(std::string_view sentence) noexcept {
    write(level::debug, sentence);
}

} // namespace vcsm::log
