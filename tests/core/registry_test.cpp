#include "registry.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <unordered_map>
#include <vector>

namespace {

using vcsm::detail::block;
using vcsm::detail::fate;
using vcsm::detail::reference;
using vcsm::detail::registry;

std::shared_ptr<block> some_block() {
    return std::make_shared<block>(nullptr, 0, 1, "b");
}

TEST(handles, are_above_zero_and_fit_an_int) {
    registry table;
    const auto made = table.enter(some_block());
    EXPECT_GT(made->handle(), 0U);
    EXPECT_LE(made->handle(), 0x7fffffffU);
}

TEST(handles, are_not_given_again_soon) {
    registry table;
    bool last = false;
    const auto first = table.enter(some_block());
    EXPECT_EQ(table.remove(first->handle(), fate::freed, last), first);
    EXPECT_TRUE(last);
    for (int i = 0; i < 1000; ++i) {
        const auto next = table.enter(some_block());
        EXPECT_NE(next->handle(), first->handle());
        EXPECT_NE(table.remove(next->handle(), fate::freed, last), nullptr);
    }
}

TEST(handles, that_are_none_find_nothing) {
    registry table;
    bool last = false;
    const auto made = table.enter(some_block());
    EXPECT_EQ(table.find(0), nullptr);
    EXPECT_EQ(table.find(made->handle() + 1), nullptr);
    EXPECT_EQ(table.find(0xffffffff), nullptr);
    EXPECT_EQ(table.remove(0, fate::freed, last), nullptr);
    EXPECT_FALSE(table.with(0, [](reference&) { FAIL(); }));
}

TEST(handles, of_one_block_end_it_with_the_last) {
    registry table;
    bool last = false;
    const auto shared = some_block();
    const auto first = table.enter(shared);
    const auto second = table.enter(shared);
    EXPECT_NE(table.remove(first->handle(), fate::freed, last), nullptr);
    EXPECT_FALSE(last);
    EXPECT_FALSE(first->alive());
    EXPECT_TRUE(second->alive());
    EXPECT_NE(table.remove(second->handle(), fate::freed, last), nullptr);
    EXPECT_TRUE(last);
}

TEST(handles, are_found_whatever_was_entered_and_removed) {
    registry table;
    std::unordered_map<std::uint32_t, std::shared_ptr<reference>> expected;
    std::vector<std::uint32_t> order;
    std::mt19937 random{20261123}; // NOLINT(cert-msc51-cpp): the same sequence in every run
    for (int step = 0; step < 20000; ++step) {
        if (order.empty() || random() % 5 < 3) {
            const auto made = table.enter(some_block());
            ASSERT_TRUE(expected.emplace(made->handle(), made).second);
            order.push_back(made->handle());
        } else {
            std::swap(order[random() % order.size()], order.back());
            bool last = false;
            ASSERT_EQ(table.remove(order.back(), fate::freed, last), expected.at(order.back()));
            expected.erase(order.back());
            order.pop_back();
        }
        if (!order.empty()) {
            const std::uint32_t asked = order[random() % order.size()];
            ASSERT_EQ(table.find(asked), expected.at(asked));
        }
    }
    EXPECT_EQ(table.all().size(), expected.size());
    for (const auto& [handle, made] : expected) {
        EXPECT_EQ(table.find(handle), made);
    }
}

} // namespace
