#include "fresh.hpp"

#include <gmock/gmock.h>

#include <concepts>
#include <optional>
#include <span>
#include <stdexcept>
#include <thread>

namespace {

using vcsm::cache_mode;
using vcsm::shared_memory;
using vcsm_tests::pattern;
using vcsm_tests::seen_by_videocore;
namespace access = vcsm::access;

static_assert(std::same_as<decltype(std::declval<shared_memory&>().lock(access::read)), vcsm::lock<const std::byte>>);
static_assert(std::same_as<decltype(std::declval<shared_memory&>().lock(access::write)), vcsm::lock<std::byte>>);
static_assert(std::same_as<decltype(std::declval<shared_memory&>().lock<float>(access::overwrite)), vcsm::lock<float>>);
static_assert(std::is_convertible_v<vcsm::lock<std::byte>&, std::span<std::byte>>);
static_assert(std::is_convertible_v<vcsm::lock<float>&, std::span<const float>>);
static_assert(std::is_nothrow_move_constructible_v<vcsm::lock<std::byte>>);
static_assert(std::is_nothrow_destructible_v<vcsm::lock<std::byte>>);
static_assert(!std::is_copy_constructible_v<vcsm::lock<std::byte>>);

class a_lock : public vcsm_tests::fresh_videocore {
  protected:
    void SetUp() override {
        fresh_videocore::SetUp();
        block = shared_memory{1000, "b", cache_mode::host};
    }

    void TearDown() override {
        block.close();
        fresh_videocore::TearDown();
    }

    static unsigned locks() { return vcsm::blocks().at(0).locks; }
    static std::byte first_seen(const shared_memory& block) { return seen_by_videocore(block, 1)[0]; }

    shared_memory block;
};

TEST_F(a_lock, hides_a_write_from_videocore_until_it_ends) {
    {
        auto view = block.lock(access::write);
        ASSERT_TRUE(view);
        view[0] = std::byte{7};
        EXPECT_EQ(first_seen(block), std::byte{0}) << "written without unlocking";
    }
    EXPECT_EQ(first_seen(block), std::byte{7});
    EXPECT_EQ(locks(), 0U);
}

TEST_F(a_lock, begins_with_what_videocore_wrote) {
    (void)block.to_vector();
    vcsm::videocore::write(block.videocore_handle(), 0, pattern(1, 9));
    EXPECT_EQ(block.lock(access::read)[0], std::byte{9});
    vcsm::videocore::write(block.videocore_handle(), 0, pattern(1, 10));
    EXPECT_EQ(block.lock(access::write)[0], std::byte{10});
}

TEST_F(a_lock, taken_while_another_is_held_sees_what_the_first_saw) {
    const auto first = block.lock(access::read);
    vcsm::videocore::write(block.videocore_handle(), 0, pattern(1, 9));
    EXPECT_EQ(block.lock(access::read)[0], std::byte{0});
    EXPECT_EQ(block.lock(access::write)[0], std::byte{0});
}

TEST_F(a_lock, that_may_write_hands_over_at_its_own_end_though_others_last) {
    const auto outer = block.lock(access::read);
    {
        auto inner = block.lock(access::write);
        inner[0] = std::byte{7};
        EXPECT_EQ(locks(), 2U);
    }
    EXPECT_EQ(first_seen(block), std::byte{7});
    EXPECT_EQ(locks(), 1U);
    EXPECT_EQ(vcsm::videocore::list().at(0).locks, 1U) << "still locked, for VideoCore too";
}

TEST_F(a_lock, to_read_hands_nothing_to_videocore) {
    {
        const auto view = block.lock(access::read);
        const_cast<std::byte&>(view[0]) = std::byte{7}; // as a stray write would
    }
    EXPECT_EQ(first_seen(block), std::byte{0});
    EXPECT_EQ(block.to_vector()[0], std::byte{0}) << "the next lock invalidates";
}

TEST_F(a_lock, outlives_the_move_and_the_end_of_its_object) {
    std::optional<vcsm::lock<std::byte>> view = block.lock(access::write);
    shared_memory moved{std::move(block)};
    (*view)[0] = std::byte{7};
    view.reset();
    EXPECT_EQ(first_seen(moved), std::byte{7});
    view = moved.lock(access::write);
    moved.close();
    (*view)[0] = std::byte{8};
    view->unlock();
    EXPECT_TRUE(vcsm::videocore::list().empty());
}

TEST_F(a_lock, is_counted_across_threads) {
    auto here = block.lock(access::write);
    std::thread{[&] {
        auto there = block.lock(access::write);
        there[500] = std::byte{5};
    }}.join();
    EXPECT_EQ(seen_by_videocore(block, 1, 500)[0], std::byte{5});
    EXPECT_EQ(locks(), 1U);
    here.unlock();
    EXPECT_EQ(locks(), 0U);
    EXPECT_FALSE(here);
    EXPECT_EQ(here.size(), 0U);
    here.unlock();
    EXPECT_EQ(locks(), 0U);
}

TEST_F(a_lock, shows_elements_of_a_type) {
    block.resize(10);
    auto words = block.lock<std::uint32_t>(access::write);
    EXPECT_EQ(words.size(), 2U) << "as many as fit wholly";
    words[1] = 0x04030201;
    words.unlock();
    const auto part = block.lock<std::uint16_t>(access::read, 4, 2);
    EXPECT_EQ(part.size(), 2U);
    EXPECT_EQ(part[0], 0x0201);
    EXPECT_EQ(block.lock(access::read, 10, 0).size(), 0U);
    EXPECT_EQ(locks(), 1U);
}

TEST_F(a_lock, refuses_parts_that_are_none_and_then_holds_nothing) {
    EXPECT_THROW((void)block.lock<std::uint32_t>(access::read, 2, 1), std::invalid_argument) << "not aligned";
    EXPECT_THROW((void)block.lock(access::read, 1001, 0), std::invalid_argument);
    EXPECT_THROW((void)block.lock(access::read, 999, 2), std::length_error);
    EXPECT_THROW((void)block.lock<std::uint64_t>(access::read, 0, SIZE_MAX / 4), std::length_error);
    EXPECT_EQ(locks(), 0U);
}

TEST_F(a_lock, ends_when_an_exception_passes) {
    try {
        auto view = block.lock(access::write);
        view[0] = std::byte{7};
        throw std::runtime_error{"in the middle of a copy"};
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(locks(), 0U);
    EXPECT_EQ(first_seen(block), std::byte{7});
}

TEST_F(a_lock, of_a_replaced_lock_ends) {
    auto view = block.lock(access::write);
    view = block.lock(access::write);
    EXPECT_EQ(locks(), 1U);
    view = {};
    EXPECT_EQ(locks(), 0U);
}

TEST_F(a_lock, tells_that_handing_over_failed_only_when_asked) {
    block.close();
    start("unlock@1-2=EIO");
    block = shared_memory{10, "b", cache_mode::host};
    { auto view = block.lock(access::write); } // the destructor cannot tell
    auto view = block.lock(access::write);
    EXPECT_THROW(view.unlock(), vcsm::error);
    EXPECT_EQ(locks(), 0U) << "it has ended all the same";
}

TEST_F(a_lock, to_overwrite_does_not_lose_what_it_wrote) {
    block.resize(256);
    vcsm::videocore::write(block.videocore_handle(), 0, pattern(256, 3));
    {
        auto view = block.lock(access::overwrite);
        const auto bytes = pattern(256);
        std::copy(bytes.begin(), bytes.end(), view.begin());
    }
    EXPECT_EQ(seen_by_videocore(block, 256), pattern(256));
}

} // namespace
