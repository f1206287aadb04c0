// Mutexes that are held over a fork.
#pragma once

#include <new>
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace vcsm::detail {

/// In the child of a fork: a mutex that the forking thread had locked is a new, unlocked one. It cannot be unlocked
/// instead: the C library's remembers the number of the thread that took it, which has another one here.
template <class Mutex>
void renew_in_child(Mutex& held) noexcept {
#if defined(__SANITIZE_THREAD__)
    // ThreadSanitizer's own record of it stays behind and must be told.
    __tsan_mutex_pre_unlock(&held, 0);
    __tsan_mutex_post_unlock(&held, 0);
#endif
    new (&held) Mutex;
}

} // namespace vcsm::detail
