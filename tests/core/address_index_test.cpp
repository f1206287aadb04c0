#include "address_index.hpp"

#include "kernel/syscalls.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace {

using vcsm::detail::address_index;

constexpr std::size_t mib = std::size_t{1} << 20;

// Addresses are numbers here: the index never looks behind them.
const std::byte* at(std::uintptr_t number) {
    return reinterpret_cast<const std::byte*>(number);
}

class addresses : public testing::Test {
  protected:
    std::uint32_t ask(std::uintptr_t number) const {
        const std::uint32_t found = index_.find(at(number));
        return found != 0 || !index_.has_small() ? found : index_.find_small(at(number));
    }
    const std::size_t page_ = vcsm::kernel::page_size();
    address_index index_;
};

TEST_F(addresses, inside_a_range_find_it_and_those_beside_do_not) {
    const std::uintptr_t first = 64 * mib + 3 * page_;
    index_.put(at(first), 2 * page_, 7);
    EXPECT_EQ(ask(first - 1), 0U);
    EXPECT_EQ(ask(first), 7U);
    EXPECT_EQ(ask(first + page_ + 17), 7U);
    EXPECT_EQ(ask(first + 2 * page_ - 1), 7U);
    EXPECT_EQ(ask(first + 2 * page_), 0U);
    index_.remove(at(first), 2 * page_);
    EXPECT_EQ(ask(first), 0U);
}

TEST_F(addresses, of_a_range_over_many_chunks_are_all_found) {
    const std::uintptr_t first = 64 * mib - page_; // the tail of one chunk, three whole ones, the head of a fifth
    const std::size_t bytes = 6 * mib + 2 * page_;
    index_.put(at(first), bytes, 9);
    for (std::size_t offset = 0; offset < bytes; offset += page_) {
        ASSERT_EQ(ask(first + offset), 9U) << "at offset " << offset;
    }
    EXPECT_EQ(ask(first - 1), 0U);
    EXPECT_EQ(ask(first + bytes), 0U);
    index_.remove(at(first), bytes);
    for (std::size_t offset = 0; offset < bytes; offset += page_) {
        ASSERT_EQ(ask(first + offset), 0U) << "at offset " << offset;
    }
}

// More chunks than the table has room for at first, so that it grows while the range is entered.
TEST_F(addresses, of_a_range_as_large_as_videocores_memory_are_all_found) {
    const std::uintptr_t first = 64 * mib - page_;
    const std::size_t bytes = 1000 * mib;
    index_.put(at(first), bytes, 9);
    for (std::size_t offset = 0; offset < bytes; offset += page_) {
        ASSERT_EQ(ask(first + offset), 9U) << "at offset " << offset;
    }
    EXPECT_EQ(ask(first - 1), 0U);
    EXPECT_EQ(ask(first + bytes), 0U);
}

TEST_F(addresses, of_ranges_smaller_than_a_page_are_told_apart) {
    index_.put(at(32 * mib), 100, 1);
    index_.put(at(32 * mib + 128), 60, 2);
    EXPECT_EQ(ask(32 * mib + 99), 1U);
    EXPECT_EQ(ask(32 * mib + 100), 0U);
    EXPECT_EQ(ask(32 * mib + 187), 2U);
    EXPECT_EQ(ask(32 * mib + 188), 0U);
    index_.remove(at(32 * mib), 100);
    EXPECT_EQ(ask(32 * mib), 0U);
    EXPECT_EQ(ask(32 * mib + 128), 2U);
    index_.clear();
    EXPECT_EQ(ask(32 * mib + 128), 0U);
}

TEST_F(addresses, get_another_handle_without_leaving_the_first) {
    index_.put(at(8 * mib), page_, 1);
    index_.put(at(8 * mib), page_, 2);
    EXPECT_EQ(ask(8 * mib), 2U);
    index_.remove(at(8 * mib), page_);
    EXPECT_EQ(ask(8 * mib), 0U);
}

TEST_F(addresses, are_found_whatever_was_entered_and_removed) {
    struct range {
        std::size_t pages;
        std::uint32_t handle;
    };
    std::map<std::uintptr_t, range> expected; // by page number
    std::mt19937 random{20261123};            // NOLINT(cert-msc51-cpp): the same sequence in every run
    std::uint32_t last = 0;
    constexpr std::size_t all_pages = 200000;
    const auto expected_at = [&](std::uintptr_t page) -> std::uint32_t {
        auto after = expected.upper_bound(page);
        if (after == expected.begin()) {
            return 0;
        }
        --after;
        return page < after->first + after->second.pages ? after->second.handle : 0;
    };
    for (int step = 0; step < 20000; ++step) {
        const std::uintptr_t page = 1 + random() % all_pages;
        const std::size_t pages = random() % 50 == 0 ? 1 + random() % 3000 : 1 + random() % 20;
        const auto after = expected.lower_bound(page);
        const bool is_free = expected_at(page) == 0 && (after == expected.end() || after->first >= page + pages);
        if (is_free && random() % 5 < 3) {
            index_.put(at(page * page_), pages * page_, ++last);
            expected.emplace(page, range{pages, last});
        } else if (!expected.empty()) {
            auto ends = expected.lower_bound(page);
            ends = ends == expected.end() ? expected.begin() : ends;
            index_.remove(at(ends->first * page_), ends->second.pages * page_);
            expected.erase(ends);
        }
        for (int asked = 0; asked < 10; ++asked) {
            const std::uintptr_t where = random() % (all_pages + 5000);
            ASSERT_EQ(ask(where * page_ + random() % page_), expected_at(where)) << "page " << where;
        }
    }
    for (const auto& [page, entered] : expected) {
        EXPECT_EQ(ask(page * page_), entered.handle);
        EXPECT_EQ(ask((page + entered.pages) * page_ - 1), entered.handle);
    }
}

} // namespace
