#include "thread_number.hpp"

#include <atomic>
#include <bit>
#include <cstdint>

namespace vcsm::detail {

namespace {

constexpr std::size_t numbers = 64;

// A bit for each number that a living thread has.
std::atomic<std::uint64_t> taken{0};

struct returned_at_exit {
    std::size_t number;
    ~returned_at_exit() {
        if (number < numbers) {
            taken.fetch_and(~(std::uint64_t{1} << number), std::memory_order_relaxed);
        }
    }
};

} // namespace

thread_local constinit std::size_t own_number_plus_one = 0;

std::size_t take_thread_number() noexcept {
    std::uint64_t seen = taken.load(std::memory_order_relaxed);
    for (;;) {
        if (seen == ~std::uint64_t{0}) {
            static std::atomic<std::size_t> more{0};
            own_number_plus_one = more.fetch_add(1, std::memory_order_relaxed) % numbers + 1;
            return own_number_plus_one - 1;
        }
        const auto lowest = static_cast<std::size_t>(std::countr_one(seen));
        if (taken.compare_exchange_weak(seen, seen | (std::uint64_t{1} << lowest), std::memory_order_relaxed)) {
            static thread_local const returned_at_exit at_exit{lowest};
            own_number_plus_one = at_exit.number + 1;
            return lowest;
        }
    }
}

} // namespace vcsm::detail
