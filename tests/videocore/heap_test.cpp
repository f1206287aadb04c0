#include "videocore/heap.hpp"

#include <gtest/gtest.h>
#ifdef VCSM_HAS_RAPIDCHECK
#include <rapidcheck.h>
#endif

#include <algorithm>
#include <map>
#include <vector>

namespace {

using vcsm::videocore::heap;

class heap_of_pages : public testing::TestWithParam<std::size_t> {
  protected:
    std::size_t page() const { return GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(page_sizes, heap_of_pages, testing::Values(4096, 16384));

TEST_P(heap_of_pages, whole_pages_are_taken) {
    heap memory{8 * page(), page()};
    ASSERT_TRUE(memory.take(1));
    EXPECT_EQ(memory.free_bytes(), 7 * page());
    ASSERT_TRUE(memory.take(page() + 1));
    EXPECT_EQ(memory.free_bytes(), 5 * page());
}

TEST_P(heap_of_pages, a_hole_too_small_is_no_room_though_enough_is_free_in_all) {
    heap memory{4 * page(), page()};
    const auto first = memory.take(page());
    const auto second = memory.take(page());
    const auto third = memory.take(page());
    ASSERT_TRUE(first && second && third);
    memory.give_back(*second, page());
    EXPECT_EQ(memory.free_bytes(), 2 * page());
    EXPECT_EQ(memory.largest_free(), page());
    EXPECT_FALSE(memory.take(2 * page()));
    memory.give_back(*third, page());
    EXPECT_EQ(memory.largest_free(), 3 * page());
    EXPECT_TRUE(memory.take(3 * page()));
}

TEST_P(heap_of_pages, an_alignment_is_of_the_bus_address) {
    heap memory{64 * page(), page()};
    const std::size_t origin = 3 * page();
    ASSERT_TRUE(memory.take(page()));
    const auto aligned = memory.take(page(), 16 * page(), origin);
    ASSERT_TRUE(aligned);
    EXPECT_EQ((*aligned + origin) % (16 * page()), 0U);
}

TEST(heap, nothing_and_more_than_all_is_refused) {
    heap memory{4096, 4096};
    EXPECT_FALSE(memory.take(0));
    EXPECT_FALSE(memory.take(4097));
    EXPECT_FALSE(memory.take(static_cast<std::size_t>(-1)));
    EXPECT_EQ(memory.free_bytes(), 4096U);
}

#ifdef VCSM_HAS_RAPIDCHECK
// Against the plainest description of a heap: which ranges are out. No overlap, no loss, the books true.
TEST(heap, any_sequence_of_taking_and_giving_back_keeps_the_books) {
    constexpr std::size_t page = 4096;
    constexpr std::size_t pages = 64;
    const bool held = rc::check("the heap's books agree with a list of the ranges that are out", [] {
        heap memory{pages * page, page};
        std::map<std::size_t, std::size_t> out;
        const auto steps = *rc::gen::container<std::vector<std::pair<unsigned, unsigned>>>(
            rc::gen::pair(rc::gen::inRange(0U, 3U), rc::gen::inRange(0U, 40000U)));
        for (const auto& [what, number] : steps) {
            if (what < 2) {
                const std::size_t bytes = number + 1;
                const std::size_t alignment = page << (number % 4);
                const std::size_t rounded = (bytes + page - 1) / page * page;
                const auto got = memory.take(bytes, alignment);
                bool fits = false;
                for (std::size_t at = 0; at + rounded <= pages * page && !fits; at += alignment) {
                    fits = std::none_of(out.begin(), out.end(), [&](const auto& range) {
                        return at < range.first + range.second && range.first < at + rounded;
                    });
                }
                RC_ASSERT(got.has_value() == fits);
                if (got) {
                    RC_ASSERT(*got % alignment == 0U);
                    RC_ASSERT(*got + rounded <= pages * page);
                    for (const auto& [start, length] : out) {
                        RC_ASSERT(*got >= start + length || start >= *got + rounded);
                    }
                    out[*got] = rounded;
                }
            } else if (!out.empty()) {
                const auto which = std::next(out.begin(), static_cast<long>(number % out.size()));
                memory.give_back(which->first, which->second);
                out.erase(which);
            }
            std::size_t used = 0;
            std::size_t largest = 0;
            std::size_t end = 0;
            for (const auto& [start, length] : out) {
                used += length;
                largest = std::max(largest, start - end);
                end = start + length;
            }
            largest = std::max(largest, pages * page - end);
            RC_ASSERT(memory.free_bytes() == pages * page - used);
            RC_ASSERT(memory.largest_free() == largest);
        }
    });
    EXPECT_TRUE(held);
}
#endif

} // namespace
