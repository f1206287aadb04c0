#include "own_process.hpp"

#include <atomic>

#include <unistd.h>

namespace vcsm::detail {

namespace {

constinit std::atomic<pid_t> known{0};

} // namespace

pid_t own_process() noexcept {
    pid_t number = known.load(std::memory_order_relaxed);
    if (number == 0) {
        number = ::getpid();
        known.store(number, std::memory_order_relaxed);
    }
    return number;
}

void renew_own_process_in_child() noexcept {
    known.store(::getpid(), std::memory_order_relaxed);
}

} // namespace vcsm::detail
