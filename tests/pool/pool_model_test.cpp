// Random operations on a pool against the simplest thing that is right: a list of what was allocated.
#include "core/fresh.hpp"

#include <vcsm/pool.hpp>

#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <vector>

namespace {

using vcsm::pool;
using vcsm::shared_memory;

struct expected_block {
    shared_memory object;
    std::size_t size = 0;
    unsigned seed = 0;
};

std::vector<std::byte> content(const expected_block& which) {
    return vcsm_tests::pattern(which.size, which.seed);
}

std::vector<std::byte> seen_by_videocore(const shared_memory& block) {
    std::vector<std::byte> seen(block.size());
    const auto [handle, offset] = block.location();
    vcsm::videocore::read(handle, offset, seen);
    return seen;
}

// What must be true after every step.
void check(const pool& tested, const std::vector<expected_block>& live, std::size_t peak) {
    std::map<std::uint64_t, std::size_t> places;
    std::size_t used = 0;
    for (const expected_block& each : live) {
        RC_ASSERT(each.object.size() == each.size);
        RC_ASSERT(each.object.capacity() >= each.size);
        RC_ASSERT(places.emplace(each.object.bus_address(), each.object.capacity()).second);
        used += each.object.capacity();
    }
    std::uint64_t end = 0;
    for (const auto& [address, bytes] : places) {
        RC_ASSERT(address >= end); // no two overlap
        end = address + bytes;
    }
    const vcsm::pool_statistics now = tested.statistics();
    RC_ASSERT(now.blocks == live.size());
    RC_ASSERT(now.used == used);
    RC_ASSERT(now.free == now.capacity - used);
    RC_ASSERT(now.largest_free <= now.free);
    RC_ASSERT((now.largest_free == 0) == (now.free == 0));
    RC_ASSERT(now.peak == std::max(peak, used));
    RC_ASSERT(now.allocations == vcsm::videocore::list().size());
    std::size_t capacity = 0;
    for (const auto& each : vcsm::videocore::list()) {
        capacity += each.capacity;
    }
    RC_ASSERT(now.capacity == capacity);
}

void run(const vcsm::pool_options& options) {
    vcsm::videocore::reset();
    vcsm::use("simulated");
    const std::size_t limit = options.limit;
    std::vector<expected_block> live;
    std::size_t peak = 0;
    {
        pool tested{65536, "tested", options};
        const auto steps = *rc::gen::inRange(1, 120);
        for (int step = 0; step < steps; ++step) {
            const auto what = *rc::gen::inRange(0, 12);
            const auto seed = *rc::gen::inRange(0U, 250U);
            if (what < 6) {
                const auto size =
                    *rc::gen::oneOf(rc::gen::inRange<std::size_t>(1, 300), rc::gen::inRange<std::size_t>(1, 9000),
                                    rc::gen::inRange<std::size_t>(1, 140000));
                const auto alignment = std::size_t{1} << *rc::gen::inRange(0, 15);
                const vcsm::pool_statistics before = tested.statistics();
                try {
                    expected_block made{tested.allocate(size, alignment), size, seed};
                    RC_ASSERT(made.object.bus_address() % alignment == 0U);
                    if (options.zero) {
                        RC_ASSERT(made.object.to_vector() == std::vector<std::byte>(size));
                    }
                    made.object.copy_from(content(made));
                    live.push_back(std::move(made));
                } catch (const vcsm::out_of_memory&) {
                    RC_ASSERT(limit != SIZE_MAX);
                    const vcsm::pool_statistics after = tested.statistics();
                    RC_ASSERT(after.blocks == before.blocks);
                    RC_ASSERT(after.used == before.used);
                    // It really had no room: neither a piece that surely holds it, nor the right to grow by as much.
                    RC_ASSERT(after.largest_free < size + alignment + 64);
                    RC_ASSERT(after.capacity + size > limit - 40000);
                }
            } else if (what < 10 && !live.empty()) {
                const auto which = *rc::gen::inRange<std::size_t>(0, live.size());
                RC_ASSERT(live[which].object.to_vector() == content(live[which]));
                RC_ASSERT(seen_by_videocore(live[which].object) == content(live[which]));
                if (seed % 3 == 0) {
                    (void)live[which].object.handle();
                }
                live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
            } else if (what == 10 && !live.empty()) {
                expected_block& which = live[*rc::gen::inRange<std::size_t>(0, live.size())];
                const auto size = *rc::gen::inRange<std::size_t>(1, 5000);
                std::vector<std::byte> kept = content(which);
                kept.resize(size);
                try {
                    which.object.resize(size);
                    which.size = size;
                    RC_ASSERT(which.object.to_vector() == kept);
                    which.object.copy_from(content(which));
                } catch (const vcsm::out_of_memory&) {
                    RC_ASSERT(limit != SIZE_MAX);
                }
            } else if (what == 11) {
                (void)tested.trim();
            }
            // A block that is being resized has both its places for a moment.
            peak = what == 10 ? std::max(peak, tested.statistics().peak) : peak;
            check(tested, live, peak);
            peak = std::max(peak, tested.statistics().used);
        }
    }
    for (const expected_block& each : live) { // the pool is gone, its blocks are not
        RC_ASSERT(each.object.to_vector() == content(each));
    }
    live.clear();
    RC_ASSERT(vcsm::videocore::list().empty());
}

TEST(a_pool_does_as_its_model, whatever_it_is_told) {
    EXPECT_TRUE(rc::check([] { run({.grow_by = 16384}); }));
}

TEST(a_pool_does_as_its_model, with_a_limit) {
    EXPECT_TRUE(rc::check([] { run({.limit = 200000}); }));
}

TEST(a_pool_does_as_its_model, zeroed_and_cached_by_the_cpu) {
    EXPECT_TRUE(rc::check([] { run({.cache = vcsm::cache_mode::host, .keep = 65536, .zero = true}); }));
}

TEST(a_pool_does_as_its_model, of_whole_blocks) {
    EXPECT_TRUE(rc::check([] { run({.whole_blocks = true}); }));
}

} // namespace
