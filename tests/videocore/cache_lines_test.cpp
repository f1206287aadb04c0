#include "videocore/cache_lines.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace {

using vcsm::videocore::cache_line_bytes;

struct three_copies {
    std::vector<std::byte> videocore = std::vector<std::byte>(8 * cache_line_bytes);
    std::vector<std::byte> cpu = videocore;
    std::vector<std::byte> baseline = videocore;
    vcsm::videocore::copies all{videocore, cpu, baseline};
};

TEST(cache_lines, what_the_cpu_wrote_stays_with_the_cpu_until_it_is_cleaned) {
    three_copies block;
    block.cpu[100] = std::byte{7};
    EXPECT_EQ(block.videocore[100], std::byte{0});
    EXPECT_EQ(dirty_lines(block.all), 1U);
    EXPECT_EQ(clean(block.all), 1U);
    EXPECT_EQ(block.videocore[100], std::byte{7});
    EXPECT_EQ(dirty_lines(block.all), 0U);
}

TEST(cache_lines, cleaning_writes_back_the_lines_that_the_cpu_changed_and_no_others) {
    three_copies block;
    std::fill(block.videocore.begin(), block.videocore.end(), std::byte{9}); // VideoCore wrote everywhere meanwhile
    block.cpu[0] = std::byte{1};
    clean(block.all);
    EXPECT_EQ(block.videocore[0], std::byte{1});
    EXPECT_EQ(block.videocore[1], std::byte{0}) << "a stale neighbour in the same line goes along, as on a board";
    EXPECT_TRUE(std::all_of(block.videocore.begin() + cache_line_bytes, block.videocore.end(),
                            [](std::byte each) { return each == std::byte{9}; }));
}

TEST(cache_lines, invalidating_takes_videocores_bytes_and_loses_what_was_not_cleaned) {
    three_copies block;
    block.cpu[5] = std::byte{1};
    block.videocore[300] = std::byte{2};
    invalidate(block.all);
    EXPECT_EQ(block.cpu[5], std::byte{0});
    EXPECT_EQ(block.cpu[300], std::byte{2});
    EXPECT_EQ(clean(block.all), 0U);
}

TEST(cache_lines, clean_lines_may_be_fetched_again_without_losing_dirty_ones) {
    three_copies block;
    block.cpu[5] = std::byte{1};
    block.videocore[6] = std::byte{3};   // in the dirty line
    block.videocore[300] = std::byte{2}; // in a clean one
    refetch_clean_lines(block.all);
    EXPECT_EQ(block.cpu[5], std::byte{1});
    EXPECT_EQ(block.cpu[300], std::byte{2});
    clean(block.all);
    EXPECT_EQ(block.videocore[5], std::byte{1});
    EXPECT_EQ(block.videocore[300], std::byte{2});
}

} // namespace
