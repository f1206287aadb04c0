#include "short_mutex.hpp"

namespace vcsm::detail {

void short_mutex::wait_and_lock() noexcept {
    // Whoever gets it like this cannot know whether others sleep, and says that they do.
    while (state_.exchange(waited_for, std::memory_order_acquire) != unlocked) {
        state_.wait(waited_for, std::memory_order_relaxed);
    }
}

void short_mutex::wake_one() noexcept {
    state_.notify_one();
}

} // namespace vcsm::detail
