#include "own_process.hpp"

#include <atomic>

#include <pthread.h>
#include <unistd.h>

namespace vcsm::detail {

namespace {

constinit std::atomic<pid_t> known{0};

} // namespace

pid_t own_process() noexcept {
    if (const pid_t number = known.load(std::memory_order_relaxed); number != 0) {
        return number;
    }
    static const bool told_of_forks =
        ::pthread_atfork(nullptr, nullptr, [] { known.store(0, std::memory_order_relaxed); }) == 0;
    const pid_t number = ::getpid();
    if (told_of_forks) {
        known.store(number, std::memory_order_relaxed);
    }
    return number;
}

} // namespace vcsm::detail
