#include "short_mutex.hpp"

#include "running.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

using vcsm::detail::short_mutex;

TEST(a_short_mutex, lets_one_thread_in_at_a_time) {
    constexpr int threads = 4;
    constexpr int times = 20000;
    short_mutex mutex;
    int inside = 0;
    int wrong = 0;
    std::uint64_t count = 0;
    std::vector<std::thread> all;
    all.reserve(threads);
    for (int i = 0; i < threads; ++i) {
        all.emplace_back([&] {
            for (int k = 0; k < times; ++k) {
                const std::lock_guard guard{mutex};
                wrong += ++inside == 1 ? 0 : 1;
                ++count;
                if (k % 100 == 0) {
                    std::this_thread::yield(); // so that others come to wait
                }
                --inside;
            }
        });
    }
    for (std::thread& each : all) {
        each.join();
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(count, std::uint64_t{threads} * times);
}

/// Of a thread of this process, as /proc has it: S for one that sleeps. Another letter where there is none yet.
char state_of(pid_t thread) {
    const std::string text = vcsm_tests::content_of("/proc/self/task/" + std::to_string(thread) + "/stat");
    const std::size_t after_name = text.rfind(") ");
    return after_name == std::string::npos ? '?' : text[after_name + 2];
}

TEST(a_short_mutex, has_those_who_wait_sleep_and_wakes_all_of_them) {
    short_mutex mutex;
    mutex.lock();
    std::array<std::atomic<pid_t>, 3> numbers{};
    std::atomic<int> through{0};
    std::vector<std::thread> waiting;
    waiting.reserve(3);
    for (std::atomic<pid_t>& own : numbers) {
        waiting.emplace_back([&] {
            own = static_cast<pid_t>(::syscall(SYS_gettid));
            const std::lock_guard guard{mutex};
            ++through;
        });
    }
    for (const std::atomic<pid_t>& each : numbers) {
        while (state_of(each) != 'S') {
            std::this_thread::yield(); // a thread that spins would never get there
        }
    }
    EXPECT_EQ(through, 0);
    mutex.unlock();
    for (std::thread& each : waiting) {
        each.join();
    }
    EXPECT_EQ(through, 3);
}

} // namespace
