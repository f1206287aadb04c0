// The one place through which the library asks the kernel for anything.
//
// `calls` is the list of system calls that the library makes, with the arguments, results and errno of the C library's
// functions of the same names. Everything else in the project calls `kernel::system()` (or the wrappers in
// `syscalls.hpp`, which repeat what a signal interrupted). A test derives from `calls`, puts its object in force with
// `scoped_calls`, and so sees every call, or makes the n-th one fail.
#pragma once

#include <atomic>
#include <cstddef>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace vcsm::kernel {

/// Exported as scoped_calls is.
class [[gnu::visibility("default")]] calls {
  public:
    constexpr calls() = default;
    calls(const calls&) = delete;
    calls& operator=(const calls&) = delete;
    virtual ~calls() = default;

    virtual int open(const char* path, int flags, mode_t mode);
    virtual int close(int descriptor);
    virtual int ioctl(int descriptor, unsigned long request, void* argument);
    virtual void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset);
    virtual int munmap(void* address, std::size_t bytes);
    virtual int mprotect(void* address, std::size_t bytes, int protection);
    virtual int madvise(void* address, std::size_t bytes, int advice);
    virtual int memfd_create(const char* name, unsigned int flags);
    virtual int ftruncate(int descriptor, off_t bytes);
    virtual int fallocate(int descriptor, int mode, off_t offset, off_t bytes);
    virtual int fcntl(int descriptor, int command, long argument);
    virtual int fstat(int descriptor, struct stat* result);
    virtual int stat(const char* path, struct stat* result);
    virtual int access(const char* path, int mode);
    virtual off_t lseek(int descriptor, off_t offset, int whence);
    virtual ssize_t read(int descriptor, void* buffer, std::size_t bytes);
    virtual ssize_t pread(int descriptor, void* buffer, std::size_t bytes, off_t offset);
    virtual ssize_t write(int descriptor, const void* buffer, std::size_t bytes);
    virtual ssize_t pwrite(int descriptor, const void* buffer, std::size_t bytes, off_t offset);
    virtual ssize_t readlink(const char* path, char* buffer, std::size_t bytes);
    virtual ssize_t getdents64(int descriptor, void* buffer, std::size_t bytes);
    virtual int socket(int domain, int type, int protocol);
    virtual int connect(int descriptor, const struct sockaddr* address, socklen_t bytes);
    virtual ssize_t sendmsg(int descriptor, const struct msghdr* message, int flags);
    virtual ssize_t recvmsg(int descriptor, struct msghdr* message, int flags);
    virtual int poll(struct pollfd * descriptors, nfds_t count, int timeout_milliseconds);
    virtual int getrlimit(int resource, struct rlimit* limits);
    virtual int pidfd_open(pid_t process, unsigned int flags);
    virtual int pidfd_getfd(int pidfd, int descriptor, unsigned int flags);
};

/// Never null. Exported, and read where it is used, because a lock is hardly more than one system call.
[[gnu::visibility("default")]] extern std::atomic<calls*> calls_in_force;

/// The calls in force: the kernel's own, unless a test put others in their place.
[[nodiscard]] inline calls& system() noexcept {
    return *calls_in_force.load(std::memory_order_acquire);
}

/// Puts other calls in force until the end of its life. For tests; nest them like scopes, from one thread.
/// It is exported, so that the faces in C and Python can be tested with it too; no public header declares it.
class [[gnu::visibility("default")]] scoped_calls {
  public:
    explicit scoped_calls(calls & others) noexcept;
    scoped_calls(const scoped_calls&) = delete;
    scoped_calls& operator=(const scoped_calls&) = delete;
    ~scoped_calls();

  private:
    calls* before_;
};

} // namespace vcsm::kernel
