// The same work in several threads.
#pragma once

#include <functional>
#include <thread>
#include <vector>

namespace vcsm_tests {

/// Calls work(0) to work(count - 1), each in a thread of its own, and comes back when all have.
inline void in_threads(unsigned count, const std::function<void(unsigned)>& work) {
    std::vector<std::thread> threads;
    threads.reserve(count);
    for (unsigned number = 0; number < count; ++number) {
        threads.emplace_back(work, number);
    }
    for (std::thread& each : threads) {
        each.join();
    }
}

} // namespace vcsm_tests
