#include "copy.hpp"

#include "core/fresh.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace {

using vcsm::detail::copy_bytes;
using vcsm::detail::next_reader;
using vcsm_tests::pattern;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

// Around every size at which the way of copying changes, and with every raggedness of the ends.
TEST(copy_bytes_of_any_size, copies_those_and_no_others) {
    const std::vector<std::byte> source = pattern(16 * mebibyte + 200);
    for (const next_reader next : {next_reader::videocore, next_reader::cpu}) {
        for (const std::size_t around : {std::size_t{300}, mebibyte / 2, mebibyte, 8 * mebibyte, 16 * mebibyte}) {
            for (const std::ptrdiff_t more : {-130, -1, 0, 1, 63, 129}) {
                const auto bytes = around + static_cast<std::size_t>(more);
                for (const std::size_t shift : {0U, 17U}) {
                    if (around > mebibyte && (more == 0 || more == 63 || shift == 0)) {
                        continue; // which takes its time and shows nothing more
                    }
                    std::vector<std::byte> target(bytes + 64, std::byte{0xee});
                    copy_bytes(target.data() + 7 + shift, source.data() + shift, bytes, next);
                    const auto first = target.begin() + 7 + static_cast<std::ptrdiff_t>(shift);
                    const auto end = first + static_cast<std::ptrdiff_t>(bytes);
                    ASSERT_TRUE(std::equal(first, end, source.begin() + static_cast<std::ptrdiff_t>(shift)))
                        << bytes << " bytes, shifted by " << shift;
                    const auto untouched = [](std::byte value) { return value == std::byte{0xee}; };
                    ASSERT_TRUE(std::all_of(target.begin(), first, untouched));
                    ASSERT_TRUE(std::all_of(end, target.end(), untouched));
                }
            }
        }
    }
}

TEST(copy_bytes_of_any_size, copies_over_itself_as_if_through_another_place) {
    for (const std::size_t bytes : {std::size_t{100}, mebibyte, 16 * mebibyte}) {
        for (const std::size_t shift : {0U, 1U, 4096U}) {
            std::vector<std::byte> forth = pattern(bytes + shift);
            copy_bytes(forth.data() + shift, forth.data(), bytes);
            const std::vector<std::byte> expected = pattern(bytes);
            ASSERT_TRUE(
                std::equal(expected.begin(), expected.end(), forth.begin() + static_cast<std::ptrdiff_t>(shift)));
            std::vector<std::byte> back = pattern(bytes + shift);
            copy_bytes(back.data(), back.data() + shift, bytes);
            const std::vector<std::byte> shifted = pattern(bytes, static_cast<unsigned>(shift));
            ASSERT_TRUE(std::equal(shifted.begin(), shifted.end(), back.begin()));
        }
    }
}

class large_copies : public vcsm_tests::fresh_videocore {};

TEST_F(large_copies, arrive_at_videocore_and_come_back) {
    for (const std::size_t bytes : {mebibyte, 17 * mebibyte + 3}) {
        for (const vcsm::cache_mode cache : {vcsm::cache_mode::none, vcsm::cache_mode::host}) {
            vcsm::shared_memory block{bytes, "large", cache};
            block.copy_from(pattern(bytes));
            EXPECT_EQ(vcsm_tests::seen_by_videocore(block, bytes), pattern(bytes));
            EXPECT_EQ(block.to_vector(), pattern(bytes));
        }
    }
}

} // namespace
