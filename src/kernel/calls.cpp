#include "kernel/calls.hpp"

#include "kernel/lasting.hpp"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Debian 12's headers know these two numbers; the library calls have come with glibc 2.36.
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

namespace vcsm::kernel {

int calls::open(const char* path, int flags, mode_t mode) {
    return ::open(path, flags, mode);
}
int calls::close(int descriptor) {
    return ::close(descriptor);
}
int calls::ioctl(int descriptor, unsigned long request, void* argument) {
    return ::ioctl(descriptor, request, argument);
}
void* calls::mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) {
    return ::mmap(address, bytes, protection, flags, descriptor, offset);
}
int calls::munmap(void* address, std::size_t bytes) {
    return ::munmap(address, bytes);
}
int calls::mprotect(void* address, std::size_t bytes, int protection) {
    return ::mprotect(address, bytes, protection);
}
int calls::madvise(void* address, std::size_t bytes, int advice) {
    return ::madvise(address, bytes, advice);
}
int calls::memfd_create(const char* name, unsigned int flags) {
    return ::memfd_create(name, flags);
}
int calls::ftruncate(int descriptor, off_t bytes) {
    return ::ftruncate(descriptor, bytes);
}
int calls::fallocate(int descriptor, int mode, off_t offset, off_t bytes) {
    return ::fallocate(descriptor, mode, offset, bytes);
}
int calls::fcntl(int descriptor, int command, long argument) {
    return ::fcntl(descriptor, command, argument);
}
int calls::fstat(int descriptor, struct stat* result) {
    return ::fstat(descriptor, result);
}
int calls::stat(const char* path, struct stat* result) {
    return ::stat(path, result);
}
int calls::access(const char* path, int mode) {
    return ::access(path, mode);
}
off_t calls::lseek(int descriptor, off_t offset, int whence) {
    return ::lseek(descriptor, offset, whence);
}
ssize_t calls::read(int descriptor, void* buffer, std::size_t bytes) {
    return ::read(descriptor, buffer, bytes);
}
ssize_t calls::pread(int descriptor, void* buffer, std::size_t bytes, off_t offset) {
    return ::pread(descriptor, buffer, bytes, offset);
}
ssize_t calls::write(int descriptor, const void* buffer, std::size_t bytes) {
    return ::write(descriptor, buffer, bytes);
}
ssize_t calls::pwrite(int descriptor, const void* buffer, std::size_t bytes, off_t offset) {
    return ::pwrite(descriptor, buffer, bytes, offset);
}
ssize_t calls::readlink(const char* path, char* buffer, std::size_t bytes) {
    return ::readlink(path, buffer, bytes);
}
ssize_t calls::getdents64(int descriptor, void* buffer, std::size_t bytes) {
    return ::syscall(SYS_getdents64, descriptor, buffer, bytes);
}
int calls::socket(int domain, int type, int protocol) {
    return ::socket(domain, type, protocol);
}
int calls::connect(int descriptor, const struct sockaddr* address, socklen_t bytes) {
    return ::connect(descriptor, address, bytes);
}
ssize_t calls::sendmsg(int descriptor, const struct msghdr* message, int flags) {
    return ::sendmsg(descriptor, message, flags);
}
ssize_t calls::recvmsg(int descriptor, struct msghdr* message, int flags) {
    return ::recvmsg(descriptor, message, flags);
}
int calls::poll(struct pollfd* descriptors, nfds_t count, int timeout_milliseconds) {
    return ::poll(descriptors, count, timeout_milliseconds);
}
int calls::getrlimit(int resource, struct rlimit* limits) {
#if defined(__LP64__) && defined(SYS_getrlimit)
    // The C library asks with prlimit(), which looks for the process first and takes more than twice as long.
    return static_cast<int>(::syscall(SYS_getrlimit, resource, limits));
#else
    return ::getrlimit(static_cast<__rlimit_resource_t>(resource), limits);
#endif
}
int calls::pidfd_open(pid_t process, unsigned int flags) {
    return static_cast<int>(::syscall(SYS_pidfd_open, process, flags));
}
int calls::pidfd_getfd(int pidfd, int descriptor, unsigned int flags) {
    return static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, descriptor, flags));
}

namespace {

constinit lasting<calls> the_kernel; // objects that outlive main() still unmap and close through it

} // namespace

constinit std::atomic<calls*> calls_in_force{&the_kernel.own};

scoped_calls::scoped_calls(calls& others) noexcept
    : before_{calls_in_force.exchange(&others, std::memory_order_acq_rel)} {}

scoped_calls::~scoped_calls() {
    calls_in_force.store(before_, std::memory_order_release);
}

} // namespace vcsm::kernel
