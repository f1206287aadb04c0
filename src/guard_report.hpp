// What the guard says of a stray access. Everything here may be called in a signal handler.
#pragma once

#include "guard.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <ctime>

#include <sys/types.h>

namespace vcsm::detail {

struct guard::entry {
    enum : unsigned { never_locked, unlocked, locked_to_read };

    entry* next = nullptr; // never changes once it is in the list
    std::atomic<bool> used{false};
    std::atomic<std::uintptr_t> first{0}; // 0: nothing is guarded
    std::atomic<std::size_t> bytes{0};
    std::atomic<pid_t> owner{0};
    std::atomic<unsigned> state{never_locked};
    std::atomic<std::int64_t> unlocked_seconds{0}; // CLOCK_MONOTONIC
    std::atomic<std::int64_t> unlocked_nanoseconds{0};
    std::atomic<pid_t> unlocked_by{0}; // thread
    std::array<char, 64> name{};
};

/// One line on standard error. `context` is the handler's ucontext_t.
void guard_report(const guard::entry& about, std::size_t offset, const void* context) noexcept;

} // namespace vcsm::detail
