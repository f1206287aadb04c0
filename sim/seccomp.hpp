// seccomp's user notification: the only file that knows its structs and ioctls.
//
// Debian 12's libseccomp and headers lack two of the flags; they are defined here from the kernel's <linux/seccomp.h>.
#pragma once

#include "kernel/syscalls.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

namespace vcsm::sim {

/// Puts the calling process under `program` and gives the listener (close-on-exec), or -errno.
[[nodiscard]] int install_filter(const std::vector<sock_filter>& program) noexcept;

/// Whether this kernel has what vcsm-sim needs; empty if so, else one sentence that says what is missing.
[[nodiscard]] std::string what_the_kernel_lacks();

/// The supervisor's end of a filter. What is virtual is what a test without a filter has to do itself.
class listener {
  public:
    explicit listener(kernel::unique_fd descriptor);
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;
    virtual ~listener() = default;

    [[nodiscard]] int get() const noexcept { return descriptor_.get(); }

    /// The next call that waits, or nothing where there is none (any more). The pointer is valid until the next call.
    [[nodiscard]] const seccomp_notif* receive() noexcept;
    /// The call returns `value`, or -1 with errno `error` where that is not 0.
    void answer(std::uint64_t id, std::int64_t value, int error) noexcept;
    /// The kernel carries the call out as if nobody had looked.
    void let_pass(std::uint64_t id) noexcept;
    /// Whether the caller still waits; false once it was killed.
    [[nodiscard]] virtual bool waits(std::uint64_t id) const noexcept;
    /// Puts a copy of `descriptor` into the calling process: its number there, or -errno. With `finish` the call
    /// returns that number.
    [[nodiscard]] virtual int give(std::uint64_t id, int descriptor, bool close_on_exec, bool finish) noexcept;

  private:
    kernel::unique_fd descriptor_;
    std::vector<std::uint64_t> request_; // as long as the running kernel's struct, which may be longer than ours
    std::vector<std::uint64_t> response_;
};

} // namespace vcsm::sim
