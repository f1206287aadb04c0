// A mutex for what is held for some nanoseconds or one system call, taken and given back in place.
#pragma once

#include <vcsm/types.hpp>

#include <atomic>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace vcsm::detail {

/// As std::mutex, whose two calls into the C library take longer than a look-up: a lock and its end lie on four of
/// them. Who has to wait sleeps.
class VCSM_API short_mutex {
  public:
    short_mutex() noexcept = default;
    short_mutex(const short_mutex&) = delete;
    short_mutex& operator=(const short_mutex&) = delete;
    ~short_mutex() = default;

    void lock() noexcept {
        if (alone() && state_.load(std::memory_order_relaxed) == unlocked) {
            state_.store(taken, std::memory_order_relaxed);
            return;
        }
        int found = unlocked;
        if (!state_.compare_exchange_strong(found, taken, std::memory_order_acquire, std::memory_order_relaxed)) {
            wait_and_lock();
        }
    }
    void unlock() noexcept {
        if (alone()) {
            state_.store(unlocked, std::memory_order_relaxed);
            return;
        }
        if (state_.exchange(unlocked, std::memory_order_release) == waited_for) {
            wake_one();
        }
    }

  private:
    static constexpr int unlocked = 0;
    static constexpr int taken = 1;
    static constexpr int waited_for = 2; // taken, and somebody may be asleep

    /// Whether the process has this one thread, which saves what threads need among each other: as the C library does
    /// in its own mutex. Whatever it did before it starts a second one, that one sees.
    [[nodiscard]] static bool alone() noexcept {
#if __has_include(<sys/single_threaded.h>)
        return __libc_single_threaded != 0;
#else
        return false;
#endif
    }

    void wait_and_lock() noexcept;
    void wake_one() noexcept;

    std::atomic<int> state_{unlocked};
};

} // namespace vcsm::detail
