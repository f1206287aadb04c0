#include "core/fresh.hpp"

#include <vcsm/ring.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace {

using vcsm::ring;
using vcsm::shared_memory;
using vcsm_tests::pattern;
using vcsm_tests::seen_by_videocore;

class a_ring : public vcsm_tests::fresh_videocore {};

TEST_F(a_ring, gives_its_blocks_in_turn) {
    ring frames{3, 1000, "frames"};
    EXPECT_EQ(frames.size(), 3U);
    EXPECT_EQ(frames.block_bytes(), 1000U);
    EXPECT_EQ(vcsm::videocore::list().size(), 3U) << "each an allocation of its own";
    std::vector<shared_memory*> order;
    for (unsigned round = 0; round < 7; ++round) {
        shared_memory* const filled = frames.acquire();
        filled->copy_from(pattern(1000, round));
        frames.submit();
        EXPECT_EQ(frames.in_use(), 1U);
        shared_memory* const received = frames.receive();
        EXPECT_EQ(received, filled);
        EXPECT_EQ(seen_by_videocore(*received, 1000), pattern(1000, round));
        frames.release();
        order.push_back(filled);
    }
    EXPECT_NE(order[0], order[1]);
    EXPECT_EQ(order[0], order[3]);
    EXPECT_EQ(std::set<shared_memory*>(order.begin(), order.end()).size(), 3U);
}

TEST_F(a_ring, gives_no_block_that_is_in_use) {
    ring frames{2, 100, "frames"};
    shared_memory* const first = frames.try_acquire();
    shared_memory* const second = frames.try_acquire();
    EXPECT_NE(first, second);
    EXPECT_EQ(frames.try_acquire(), nullptr);
    EXPECT_EQ(frames.try_receive(), nullptr) << "nothing was passed on";
    frames.submit();
    frames.submit();
    EXPECT_EQ(frames.in_use(), 2U);
    EXPECT_EQ(frames.try_acquire(), nullptr);
    frames.release(); // VideoCore, which receives nothing, is done with it
    EXPECT_EQ(frames.try_acquire(), first);
    EXPECT_EQ(frames.try_receive(), second);
    frames.release();
    EXPECT_EQ(frames.in_use(), 0U);
}

TEST_F(a_ring, takes_its_blocks_along_when_it_is_moved) {
    ring first{1, 100, "first"};
    ring other{2, 100, "other"};
    const shared_memory* const block = first.acquire();
    other = std::move(first);
    EXPECT_EQ(vcsm::videocore::list().size(), 1U) << "the other's were freed";
    ring last{std::move(other)};
    last.submit();
    EXPECT_EQ(last.receive(), block);
    EXPECT_TRUE(*block);
}

TEST_F(a_ring, passes_every_block_from_thread_to_thread_in_order) {
    ring frames{4, 4096, "frames"};
    constexpr std::uint32_t count = 20000;
    std::thread producer{[&] {
        for (std::uint32_t number = 0; number < count; ++number) {
            shared_memory* const frame = frames.acquire();
            frame->copy_from(std::vector<std::uint32_t>(16, number));
            frames.submit();
        }
        frames.close();
    }};
    std::uint32_t expected = 0;
    while (const shared_memory* const frame = frames.receive()) {
        std::vector<std::uint32_t> seen(16);
        frame->copy_to(seen);
        EXPECT_EQ(seen, std::vector<std::uint32_t>(16, expected));
        ++expected;
        frames.release();
    }
    producer.join();
    EXPECT_EQ(expected, count);
}

TEST_F(a_ring, wakes_both_sides_when_it_is_closed) {
    ring frames{1, 100, "frames"};
    (void)frames.acquire();
    frames.submit();
    std::thread producer{[&] { EXPECT_EQ(frames.acquire(), nullptr); }};
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    frames.close();
    producer.join();
    EXPECT_NE(frames.receive(), nullptr) << "what was passed on still comes";
    EXPECT_EQ(frames.receive(), nullptr);
    ring empty{1, 100, "empty"};
    std::thread consumer{[&] { EXPECT_EQ(empty.receive(), nullptr); }};
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    empty.close();
    consumer.join();
    EXPECT_EQ(empty.try_acquire(), nullptr);
}

TEST_F(a_ring, refuses_what_makes_no_sense) {
    EXPECT_THROW((ring{0, 100}), std::invalid_argument);
    EXPECT_THROW((ring{std::size_t{1} << 31, 100}), std::length_error);
    EXPECT_THROW((ring{2, 0}), std::invalid_argument);
    EXPECT_THROW((ring{3, std::size_t{60} << 20}), vcsm::out_of_memory);
    EXPECT_TRUE(vcsm::videocore::list().empty()) << "the first two of three were freed again";
    ring frames{2, 100};
    EXPECT_THROW(frames.submit(), std::logic_error);
    EXPECT_THROW(frames.release(), std::logic_error);
}

TEST_F(a_ring, ends_with_the_service) {
    ring frames{2, 100};
    vcsm::stop_service();
    EXPECT_THROW((void)frames.acquire()->size(), vcsm::no_block);
}

} // namespace
