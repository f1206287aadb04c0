// A small number for each thread, so that threads that run at the same time can keep apart.
#pragma once

#include <cstddef>

namespace vcsm::detail {

/// 0: none yet. No constructor, so that reading it costs no look whether it ran.
extern thread_local constinit std::size_t own_number_plus_one;
[[nodiscard]] std::size_t take_thread_number() noexcept;

/// From 0. Two living threads have different ones as long as there are no more than 64; one that ended leaves its own
/// to the next.
[[nodiscard]] inline std::size_t this_thread_number() noexcept {
    return own_number_plus_one != 0 ? own_number_plus_one - 1 : take_thread_number();
}

} // namespace vcsm::detail
