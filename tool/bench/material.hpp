// What the rows of `vcsm bench` are made from.
#pragma once

#include "hand_made.hpp"

#include <vcsm/vcsm.hpp>

#include <cstddef>
#include <memory>
#include <vector>

namespace tool::bench {

inline constexpr std::size_t kib = 1024;
inline constexpr std::size_t mib = 1024 * kib;

/// Keeps the compiler from leaving out what nobody looks at.
inline void look_at(const void* address) {
    asm volatile("" : : "g"(address) : "memory");
}

using bytes_of = std::vector<std::byte>;

[[nodiscard]] inline std::shared_ptr<bytes_of> filled(std::size_t bytes) {
    return std::make_shared<bytes_of>(bytes, std::byte{0x5a});
}

[[nodiscard]] inline std::shared_ptr<const hand_made> by_hand() {
    static const auto made = std::make_shared<const hand_made>(vcsm::shared_memory{1, "bench"}.device());
    return made;
}

} // namespace tool::bench
