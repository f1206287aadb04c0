// Several threads at once: everything at a time under ThreadSanitizer, and what each saw against some order of it all.
#include "errno_of.hpp"
#include "in_threads.hpp"

#include <vcsm/vcsm.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <unistd.h>

namespace {

using vcsm::cache_mode;
using vcsm::shared_memory;
using vcsm_tests::errno_of;
using vcsm_tests::in_threads;

constexpr unsigned thread_count = 4;

class threads : public testing::Test {
  protected:
    threads() { vcsm::videocore::reset(); }
    ~threads() override { vcsm::videocore::reset(); }
};

TEST_F(threads, with_blocks_of_their_own_need_no_care) {
    in_threads(thread_count, [](unsigned number) {
        std::mt19937 random{number};
        const std::vector<unsigned char> data(5000, static_cast<unsigned char>(number + 1));
        for (int round = 0; round < 100; ++round) {
            shared_memory block{data.size(), "own", round % 2 == 0 ? cache_mode::none : cache_mode::host};
            block.copy_from(data);
            std::vector<unsigned char> seen(data.size());
            vcsm::videocore::read(block.videocore_handle(), 0, std::as_writable_bytes(std::span{seen}));
            EXPECT_EQ(seen, data);
            if (random() % 4 == 0) {
                block.resize(9000);
            }
            const shared_memory other = block.share();
            if (random() % 8 == 0) {
                ::close(block.export_dmabuf());
            }
            block.close();
            block = shared_memory{};
            EXPECT_EQ(other.to_vector<unsigned char>()[0], number + 1);
        }
    });
    EXPECT_TRUE(vcsm::blocks().empty());
    EXPECT_TRUE(vcsm::videocore::list().empty());
}

TEST_F(threads, may_lock_copy_and_ask_one_block_at_once) {
    for (const cache_mode cache : {cache_mode::none, cache_mode::host}) {
        shared_memory block{std::size_t{4096} * thread_count, "one", cache};
        in_threads(thread_count, [&](unsigned number) {
            const std::vector<unsigned char> data(4096, static_cast<unsigned char>(number + 1));
            for (int round = 0; round < 100; ++round) {
                block.copy_from(data, std::size_t{4096} * number);
                std::vector<unsigned char> seen(4096);
                vcsm::videocore::read(block.videocore_handle(), std::size_t{4096} * number,
                                      std::as_writable_bytes(std::span{seen}));
                EXPECT_EQ(seen, data) << "a neighbour's lock kept back what was written";
                const auto locked = block.lock(vcsm::access::read, std::size_t{4096} * number, 4096);
                EXPECT_EQ(locked[4095], std::byte{data[0]});
                (void)block.size();
                (void)block.bus_address();
                (void)vcsm::blocks();
            }
        });
        EXPECT_EQ(vcsm::blocks().at(0).locks, 0U);
    }
}

TEST_F(threads, of_one_pool_never_get_the_same_bytes) {
    vcsm::pool frames{std::size_t{1} << 20, "frames"};
    in_threads(thread_count, [&](unsigned number) {
        std::mt19937 random{number};
        for (int round = 0; round < 300; ++round) {
            shared_memory block = frames.allocate(64 + random() % 2000);
            const std::vector<unsigned char> data(block.size(), static_cast<unsigned char>(number + 1));
            block.copy_from(data);
            std::this_thread::yield();
            EXPECT_EQ(block.to_vector<unsigned char>(), data);
        }
    });
    EXPECT_EQ(frames.statistics().blocks, 0U);
}

// What follows is a check for linearizability: each operation is noted with the moments between which it was made and
// with what it gave, and there must be an order of them all, which no operation contradicts that ended before another
// began, in which a VideoCore with one user would have given just that.

enum class what { hold, release, free, look };

struct noted {
    what made = what::look;
    unsigned began = 0;
    unsigned ended = 0;
    int gave = 0; // 0 or the errno; for look: -1: not there, else the number of holds, +1000 while allocated
};

struct simple_videocore {
    bool allocated = true;
    int held = 0;
    [[nodiscard]] bool there() const { return allocated || held > 0; }
    int make(what op) {
        switch (op) {
        case what::hold:
            held += there() ? 1 : 0;
            return held > 0 ? 0 : ENOENT;
        case what::release:
            if (!there()) {
                return ENOENT;
            }
            if (held == 0) {
                return EINVAL;
            }
            --held;
            return 0;
        case what::free:
            allocated = false;
            return 0;
        case what::look:
            return !there() ? -1 : held + (allocated ? 1000 : 0);
        }
        return 0;
    }
};

bool some_order_explains(const std::vector<noted>& all, std::vector<bool>& taken, const simple_videocore& now,
                         std::size_t left) {
    if (left == 0) {
        return true;
    }
    unsigned first_end = ~0U;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!taken[i]) {
            first_end = std::min(first_end, all[i].ended);
        }
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (taken[i] || all[i].began > first_end) {
            continue; // something that was over before it began is still to come
        }
        simple_videocore next = now;
        if (next.make(all[i].made) != all[i].gave) {
            continue;
        }
        taken[i] = true;
        if (some_order_explains(all, taken, next, left - 1)) {
            return true;
        }
        taken[i] = false;
    }
    return false;
}

TEST_F(threads, see_videocores_references_as_if_they_took_turns) {
    constexpr unsigned users = 3;
    constexpr unsigned operations = 4;
    std::mt19937 random{20240229};
    for (int history = 0; history < 400; ++history) {
        shared_memory block{4096, "referred to"};
        const std::uint32_t handle = block.videocore_handle();
        std::array<std::vector<noted>, users> made;
        for (std::vector<noted>& each : made) {
            each.resize(operations);
            for (noted& one : each) {
                one.made = static_cast<what>(std::array{0, 0, 1, 1, 3, 3}[random() % 6]);
            }
        }
        made[0][random() % operations].made = what::free;
        std::atomic<unsigned> clock{0};
        std::atomic<unsigned> ready{0};
        in_threads(users, [&](unsigned user) {
            ++ready;
            while (ready.load() < users) {
                std::this_thread::yield();
            }
            for (noted& one : made[user]) {
                one.began = ++clock;
                switch (one.made) {
                case what::hold:
                    one.gave = errno_of([&] { vcsm::videocore::hold(handle); });
                    break;
                case what::release:
                    one.gave = errno_of([&] { vcsm::videocore::release(handle); });
                    break;
                case what::free:
                    block.close();
                    break;
                case what::look:
                    one.gave = -1;
                    for (const vcsm::videocore::block_state& each : vcsm::videocore::list()) {
                        if (each.videocore_handle == handle) {
                            one.gave = static_cast<int>(each.held) + (each.allocated ? 1000 : 0);
                        }
                    }
                    break;
                }
                one.ended = ++clock;
            }
        });
        std::vector<noted> all;
        for (const std::vector<noted>& each : made) {
            all.insert(all.end(), each.begin(), each.end());
        }
        std::vector<bool> taken(all.size());
        if (!some_order_explains(all, taken, {}, all.size())) {
            std::string text;
            for (const noted& one : all) {
                text += std::to_string(static_cast<int>(one.made)) + " from " + std::to_string(one.began) + " to " +
                        std::to_string(one.ended) + " gave " + std::to_string(one.gave) + "\n";
            }
            FAIL() << "in history " << history << " no order gives what was seen:\n" << text;
        }
        vcsm::videocore::reset();
    }
}

} // namespace
