// The first start of all, with no memory for one thing of it or another. A program of its own, whose children each are
// at their first.
#include "child.hpp"
#include "faults/failing_new.hpp"

#include <vcsm/vcsm.hpp>

#include <cstdint>
#include <new>
#include <vector>

#include <gtest/gtest.h>

namespace {

constexpr int right = 0;
constexpr int content_lost = 1;
constexpr int nothing_failed = 2;

/// A first block in this process, with the n-th piece of memory for it refused; and then another one.
int started_without_the(std::uint64_t nth) {
    ::alarm(60);
    bool failed = false;
    {
        const faults::news_watched watched{nth};
        try {
            const vcsm::shared_memory block{5000, "first", vcsm::cache_mode::host};
        } catch (const vcsm::out_of_memory&) {
        } catch (const std::bad_alloc&) {
        }
        failed = faults::news_watched::failed();
    }
    vcsm::shared_memory block{5000, "after all", vcsm::cache_mode::host};
    const std::vector<std::byte> data(5000, std::byte{7});
    block.copy_from(data);
    if (block.to_vector<std::byte>() != data) {
        return content_lost;
    }
    return failed ? right : nothing_failed;
}

TEST(a_first_start, that_finds_no_memory_says_so_and_can_be_repeated) {
    std::uint64_t nth = 1;
    for (int ended = right; ended != nothing_failed; ++nth) {
        ended = vcsm_tests::in_child([&] { return started_without_the(nth); });
        ASSERT_TRUE(ended == right || ended == nothing_failed) << ended << ", without memory for piece " << nth;
        ASSERT_LT(nth, 10000U);
    }
    EXPECT_GT(nth, 10U) << "hardly anything was asked for";
}

} // namespace
