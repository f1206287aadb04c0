// System calls of which the n-th fails, and what each call can fail with.
#pragma once

#include "kernel/calls.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string_view>
#include <vector>

namespace faults {

/// Which call, as far as it matters to what it can fail with.
enum class call : unsigned {
    open,
    close,
    ioctl,
    mmap,
    munmap,
    mprotect,
    madvise,
    memfd_create,
    ftruncate,
    fallocate,
    duplicate,
    fcntl,
    fstat,
    stat,
    access,
    lseek,
    read,
    pread,
    write,
    pwrite,
    readlink,
    getdents64,
    socket,
    connect,
    sendmsg,
    recvmsg,
    poll,
    pidfd_open,
    pidfd_getfd,
    getrlimit
};
[[nodiscard]] std::string_view name_of(call which) noexcept;

/// One way for a call to fail.
struct failing {
    int errno_value = 0;     ///< or `partial`
    std::uint64_t times = 1; ///< how many calls of that kind fail, one after another
};
/// No failure: a read or write that moves one byte and says so.
inline constexpr int partial = -1;
/// What the manual pages and the drivers' sources say that a call can fail with; EINTR and EAGAIN also many times.
[[nodiscard]] const std::vector<failing>& ways_to_fail(call which);
/// Whether the library promises to go on as if nothing had happened.
[[nodiscard]] bool is_repeated(call which, int errno_value) noexcept;

/// Passes every call on, except those that are to fail while it is armed. Counts what is mapped through it.
class failing_calls final : public vcsm::kernel::calls {
  public:
    explicit failing_calls(vcsm::kernel::calls& below) : below_{below} {}

    /// The call with number `at` (from 1; 0: none) fails so.
    void plan(std::uint64_t at, failing how) noexcept {
        at_ = at;
        how_ = how;
    }
    void arm(bool on) noexcept { armed_ = on; }
    /// The calls made while armed, in order.
    [[nodiscard]] const std::vector<call>& made() const noexcept { return made_; }
    [[nodiscard]] bool failed() const noexcept { return failed_; }
    /// Bytes mapped through it and not unmapped.
    [[nodiscard]] std::size_t mapped_bytes() const;

    int open(const char* path, int flags, mode_t mode) override;
    int close(int descriptor) override;
    int ioctl(int descriptor, unsigned long request, void* argument) override;
    void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) override;
    int munmap(void* address, std::size_t bytes) override;
    int mprotect(void* address, std::size_t bytes, int protection) override;
    int madvise(void* address, std::size_t bytes, int advice) override;
    int memfd_create(const char* name, unsigned int flags) override;
    int ftruncate(int descriptor, off_t bytes) override;
    int fallocate(int descriptor, int mode, off_t offset, off_t bytes) override;
    int fcntl(int descriptor, int command, long argument) override;
    int fstat(int descriptor, struct stat* result) override;
    int stat(const char* path, struct stat* result) override;
    int access(const char* path, int mode) override;
    off_t lseek(int descriptor, off_t offset, int whence) override;
    ssize_t read(int descriptor, void* buffer, std::size_t bytes) override;
    ssize_t pread(int descriptor, void* buffer, std::size_t bytes, off_t offset) override;
    ssize_t write(int descriptor, const void* buffer, std::size_t bytes) override;
    ssize_t pwrite(int descriptor, const void* buffer, std::size_t bytes, off_t offset) override;
    ssize_t readlink(const char* path, char* buffer, std::size_t bytes) override;
    ssize_t getdents64(int descriptor, void* buffer, std::size_t bytes) override;
    int socket(int domain, int type, int protocol) override;
    int connect(int descriptor, const struct sockaddr* address, socklen_t bytes) override;
    ssize_t sendmsg(int descriptor, const struct msghdr* message, int flags) override;
    ssize_t recvmsg(int descriptor, struct msghdr* message, int flags) override;
    int poll(struct pollfd* descriptors, nfds_t count, int timeout_milliseconds) override;
    int pidfd_open(pid_t process, unsigned int flags) override;
    int pidfd_getfd(int pidfd, int descriptor, unsigned int flags) override;
    int getrlimit(int resource, struct rlimit* limits) override;

  private:
    /// 0, an errno, or `partial`.
    [[nodiscard]] int next(call which);
    template <class Call>
    auto passed(call which, Call&& made_below) -> decltype(made_below());
    void forget_range(std::uintptr_t from, std::size_t bytes);

    vcsm::kernel::calls& below_;
    bool armed_ = false;
    std::uint64_t at_ = 0;
    failing how_;
    bool failed_ = false;
    call failing_kind_ = call::open;
    std::uint64_t left_ = 0;
    std::vector<call> made_;
    std::map<std::uintptr_t, std::size_t> mapped_;
    mutable std::mutex mutex_;
};

} // namespace faults
