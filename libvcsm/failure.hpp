// How what went wrong is told to C: a result, errno, and a line where VCSM_LOG asks for it. No exception gets further.
#pragma once

#include <type_traits>

namespace vcsm::c {

/// To be called in a handler: sets errno to what the exception in flight stands for, and gives it.
int tell_failure(const char* function) noexcept;
/// The same where there is no exception.
int tell_failure(const char* function, int errno_value, const char* why) noexcept;

/// What `work()` gives, or `failed`.
template <class Result, class Work>
Result or_else(const char* function, Result failed, Work&& work) noexcept {
    try {
        return work();
    } catch (...) {
        tell_failure(function);
        return failed;
    }
}

/// 0, or a negative errno; and what `work()` gives, if it gives something.
template <class Work>
int or_errno(const char* function, Work&& work) noexcept {
    try {
        if constexpr (std::is_void_v<decltype(work())>) {
            work();
            return 0;
        } else {
            return work();
        }
    } catch (...) {
        return -tell_failure(function);
    }
}

} // namespace vcsm::c
