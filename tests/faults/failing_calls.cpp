#include "faults/failing_calls.hpp"

#include "faults/failing_new.hpp"

#include <array>
#include <cerrno>

#include <sys/mman.h>

namespace faults {

namespace {

constexpr std::uint64_t many = 100;

struct known_call {
    std::string_view name;
    std::vector<failing> ways;
};

std::vector<failing> repeated_and(std::initializer_list<int> others) {
    std::vector<failing> ways{{EINTR, 1}, {EINTR, many}, {EAGAIN, 1}, {EAGAIN, many}};
    for (const int value : others) {
        ways.push_back({value, 1});
    }
    return ways;
}

std::vector<failing> interrupted_and(std::initializer_list<int> others) {
    std::vector<failing> ways{{EINTR, 1}, {EINTR, many}};
    for (const int value : others) {
        ways.push_back({value, 1});
    }
    return ways;
}

std::vector<failing> only(std::initializer_list<int> values) {
    std::vector<failing> ways;
    for (const int value : values) {
        ways.push_back({value, 1});
    }
    return ways;
}

// In the order of `call`. From the manual pages of Linux 6.1; for open, ioctl and mmap with what the drivers give
// besides (docs of the interfaces: vcsm-cma, vc_sm, dma-heap, dma-buf, udmabuf, vcio, DRM).
const std::vector<known_call>& known() {
    static const std::vector<known_call> all{
        {"open", interrupted_and({EACCES, EPERM, EMFILE, ENFILE, ENODEV, ENOENT, ENOMEM, ENXIO, EBUSY, ELOOP, EROFS})},
        {"close", interrupted_and({EIO, ENOSPC, EDQUOT})},
        {"ioctl", repeated_and({EACCES, EBADF, EBUSY, EFAULT, EINVAL, EIO, EMFILE, ENODEV, ENOENT, ENOMEM, ENOTTY,
                                EPERM, ETIMEDOUT})},
        {"mmap", interrupted_and({EACCES, EAGAIN, EINVAL, ENFILE, ENODEV, ENOMEM, EPERM, EOVERFLOW, EBUSY})},
        {"munmap", only({EINVAL, ENOMEM})},
        {"mprotect", only({EACCES, EINVAL, ENOMEM})},
        {"madvise", repeated_and({EINVAL, EIO, ENOMEM, EBADF})},
        {"memfd_create", only({EINVAL, EMFILE, ENFILE, ENOMEM, EPERM, ENOSYS})},
        {"ftruncate", interrupted_and({EFBIG, EINVAL, EIO, EPERM, ENOSPC})},
        {"fallocate", interrupted_and({EIO, ENODEV, ENOSPC, EOPNOTSUPP, EPERM, ETXTBSY, ENOSYS})},
        {"fcntl(F_DUPFD_CLOEXEC)", only({EBADF, EINVAL, EMFILE})},
        {"fcntl", only({EBADF, EBUSY, EINVAL, EPERM})},
        {"fstat", only({EBADF, EIO, ENOMEM, EOVERFLOW})},
        {"stat", only({EACCES, ELOOP, ENOENT, ENOMEM, ENOTDIR})},
        {"access", only({EACCES, EIO, ELOOP, ENOENT, ENOMEM, ENOTDIR, EROFS})},
        {"lseek", only({EBADF, EINVAL, ENXIO, EOVERFLOW, ESPIPE})},
        {"read", repeated_and({EBADF, EFAULT, EINVAL, EIO, EISDIR, ESRCH, partial})},
        {"pread", repeated_and({EBADF, EFAULT, EINVAL, EIO, ENXIO, ESPIPE, partial})},
        {"write", repeated_and({EBADF, EDQUOT, EFBIG, EIO, ENOSPC, EPERM, EPIPE, partial})},
        {"pwrite", repeated_and({EBADF, EDQUOT, EFBIG, EIO, ENOSPC, EPERM, partial})},
        {"readlink", only({EACCES, EINVAL, EIO, ELOOP, ENOENT, ENOMEM, ENOTDIR})},
        {"getdents64", interrupted_and({EBADF, EINVAL, ENOENT, ENOTDIR, EIO})},
        {"socket", only({EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM})},
        {"connect", interrupted_and({EACCES, ECONNREFUSED, ENOENT, EPERM, EPROTOTYPE, ETIMEDOUT})},
        {"sendmsg",
         repeated_and({EACCES, EBADF, ECONNRESET, EMSGSIZE, ENOBUFS, ENOMEM, ENOTCONN, EPIPE, ETOOMANYREFS})},
        {"recvmsg", repeated_and({EBADF, ECONNREFUSED, ECONNRESET, EINVAL, ENOMEM, ENOTCONN})},
        {"poll", interrupted_and({EAGAIN, EINVAL, ENOMEM})},
        {"pidfd_open", only({EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, ENOSYS, EPERM, ESRCH})},
        {"pidfd_getfd", only({EBADF, EMFILE, ENFILE, ENOSYS, EPERM, ESRCH})},
        {"getrlimit", only({EFAULT, EINVAL, EPERM})},
    };
    return all;
}

} // namespace

std::string_view name_of(call which) noexcept {
    return known()[static_cast<std::size_t>(which)].name;
}

const std::vector<failing>& ways_to_fail(call which) {
    return known()[static_cast<std::size_t>(which)].ways;
}

bool is_repeated(call which, int errno_value) noexcept {
    switch (errno_value) {
    case EINTR:
    case partial:
        return true;
    case EAGAIN: // for mmap it means too much locked memory, which waiting does not mend
        return which != call::mmap;
    default:
        return false;
    }
}

int failing_calls::next(call which) {
    const std::lock_guard guard{mutex_};
    if (!armed_) {
        return 0;
    }
    made_.push_back(which);
    if (made_.size() == at_) {
        failed_ = true;
        failing_kind_ = which;
        left_ = how_.times;
    }
    if (left_ > 0 && which == failing_kind_) {
        --left_;
        return how_.errno_value;
    }
    return 0;
}

template <class Call>
auto failing_calls::passed(call which, Call&& made_below) -> decltype(made_below()) {
    const news_unwatched not_the_librarys;
    if (const int value = next(which); value > 0) {
        errno = value;
        return static_cast<decltype(made_below())>(-1);
    }
    return made_below();
}

void failing_calls::forget_range(std::uintptr_t from, std::size_t bytes) {
    const std::uintptr_t end = from + bytes;
    auto at = mapped_.upper_bound(from);
    if (at != mapped_.begin()) {
        --at;
    }
    while (at != mapped_.end() && at->first < end) {
        const std::uintptr_t begin = at->first;
        const std::uintptr_t stop = begin + at->second;
        if (stop <= from) {
            ++at;
            continue;
        }
        at = mapped_.erase(at);
        if (begin < from) {
            mapped_[begin] = from - begin;
        }
        if (stop > end) {
            mapped_[end] = stop - end;
        }
    }
}

std::size_t failing_calls::mapped_bytes() const {
    const std::lock_guard guard{mutex_};
    std::size_t sum = 0;
    for (const auto& [from, bytes] : mapped_) {
        sum += bytes;
    }
    return sum;
}

int failing_calls::open(const char* path, int flags, mode_t mode) {
    return passed(call::open, [&] { return below_.open(path, flags, mode); });
}

// Linux closes the descriptor whatever it says then; so does this.
int failing_calls::close(int descriptor) {
    const news_unwatched not_the_librarys;
    const int value = next(call::close);
    const int result = below_.close(descriptor);
    if (value > 0) {
        errno = value;
        return -1;
    }
    return result;
}

int failing_calls::ioctl(int descriptor, unsigned long request, void* argument) {
    return passed(call::ioctl, [&] { return below_.ioctl(descriptor, request, argument); });
}

void* failing_calls::mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) {
    const news_unwatched not_the_librarys;
    if (const int value = next(call::mmap); value > 0) {
        errno = value;
        return MAP_FAILED;
    }
    void* const placed = below_.mmap(address, bytes, protection, flags, descriptor, offset);
    if (placed != MAP_FAILED) {
        const std::lock_guard guard{mutex_};
        forget_range(reinterpret_cast<std::uintptr_t>(placed), bytes);
        mapped_[reinterpret_cast<std::uintptr_t>(placed)] = bytes;
    }
    return placed;
}

// A failing munmap leaves the range mapped, and nothing can be done about it: what is tested is what the library does
// with the answer, so the range goes all the same.
int failing_calls::munmap(void* address, std::size_t bytes) {
    const news_unwatched not_the_librarys;
    const int value = next(call::munmap);
    const int result = below_.munmap(address, bytes);
    if (result == 0) {
        const std::lock_guard guard{mutex_};
        forget_range(reinterpret_cast<std::uintptr_t>(address), bytes);
    }
    if (value > 0) {
        errno = value;
        return -1;
    }
    return result;
}

int failing_calls::mprotect(void* address, std::size_t bytes, int protection) {
    return passed(call::mprotect, [&] { return below_.mprotect(address, bytes, protection); });
}
int failing_calls::madvise(void* address, std::size_t bytes, int advice) {
    return passed(call::madvise, [&] { return below_.madvise(address, bytes, advice); });
}
int failing_calls::memfd_create(const char* name, unsigned int flags) {
    return passed(call::memfd_create, [&] { return below_.memfd_create(name, flags); });
}
int failing_calls::ftruncate(int descriptor, off_t bytes) {
    return passed(call::ftruncate, [&] { return below_.ftruncate(descriptor, bytes); });
}
int failing_calls::fallocate(int descriptor, int mode, off_t offset, off_t bytes) {
    return passed(call::fallocate, [&] { return below_.fallocate(descriptor, mode, offset, bytes); });
}
int failing_calls::fcntl(int descriptor, int command, long argument) {
    const bool duplicates = command == F_DUPFD_CLOEXEC || command == F_DUPFD;
    return passed(duplicates ? call::duplicate : call::fcntl,
                  [&] { return below_.fcntl(descriptor, command, argument); });
}
int failing_calls::fstat(int descriptor, struct stat* result) {
    return passed(call::fstat, [&] { return below_.fstat(descriptor, result); });
}
int failing_calls::stat(const char* path, struct stat* result) {
    return passed(call::stat, [&] { return below_.stat(path, result); });
}
int failing_calls::access(const char* path, int mode) {
    return passed(call::access, [&] { return below_.access(path, mode); });
}
off_t failing_calls::lseek(int descriptor, off_t offset, int whence) {
    return passed(call::lseek, [&] { return below_.lseek(descriptor, offset, whence); });
}
ssize_t failing_calls::read(int descriptor, void* buffer, std::size_t bytes) {
    const news_unwatched not_the_librarys;
    const int value = next(call::read);
    if (value > 0) {
        errno = value;
        return -1;
    }
    return below_.read(descriptor, buffer, value == partial && bytes > 1 ? 1 : bytes);
}
ssize_t failing_calls::pread(int descriptor, void* buffer, std::size_t bytes, off_t offset) {
    const news_unwatched not_the_librarys;
    const int value = next(call::pread);
    if (value > 0) {
        errno = value;
        return -1;
    }
    return below_.pread(descriptor, buffer, value == partial && bytes > 1 ? 1 : bytes, offset);
}
ssize_t failing_calls::write(int descriptor, const void* buffer, std::size_t bytes) {
    const news_unwatched not_the_librarys;
    const int value = next(call::write);
    if (value > 0) {
        errno = value;
        return -1;
    }
    return below_.write(descriptor, buffer, value == partial && bytes > 1 ? 1 : bytes);
}
ssize_t failing_calls::pwrite(int descriptor, const void* buffer, std::size_t bytes, off_t offset) {
    const news_unwatched not_the_librarys;
    const int value = next(call::pwrite);
    if (value > 0) {
        errno = value;
        return -1;
    }
    return below_.pwrite(descriptor, buffer, value == partial && bytes > 1 ? 1 : bytes, offset);
}
ssize_t failing_calls::readlink(const char* path, char* buffer, std::size_t bytes) {
    return passed(call::readlink, [&] { return below_.readlink(path, buffer, bytes); });
}
ssize_t failing_calls::getdents64(int descriptor, void* buffer, std::size_t bytes) {
    return passed(call::getdents64, [&] { return below_.getdents64(descriptor, buffer, bytes); });
}
int failing_calls::socket(int domain, int type, int protocol) {
    return passed(call::socket, [&] { return below_.socket(domain, type, protocol); });
}
int failing_calls::connect(int descriptor, const struct sockaddr* address, socklen_t bytes) {
    return passed(call::connect, [&] { return below_.connect(descriptor, address, bytes); });
}
ssize_t failing_calls::sendmsg(int descriptor, const struct msghdr* message, int flags) {
    return passed(call::sendmsg, [&] { return below_.sendmsg(descriptor, message, flags); });
}
ssize_t failing_calls::recvmsg(int descriptor, struct msghdr* message, int flags) {
    return passed(call::recvmsg, [&] { return below_.recvmsg(descriptor, message, flags); });
}
int failing_calls::poll(struct pollfd* descriptors, nfds_t count, int timeout_milliseconds) {
    return passed(call::poll, [&] { return below_.poll(descriptors, count, timeout_milliseconds); });
}
int failing_calls::pidfd_open(pid_t process, unsigned int flags) {
    return passed(call::pidfd_open, [&] { return below_.pidfd_open(process, flags); });
}
int failing_calls::pidfd_getfd(int pidfd, int descriptor, unsigned int flags) {
    return passed(call::pidfd_getfd, [&] { return below_.pidfd_getfd(pidfd, descriptor, flags); });
}
int failing_calls::getrlimit(int resource, struct rlimit* limits) {
    return passed(call::getrlimit, [&] { return below_.getrlimit(resource, limits); });
}

} // namespace faults
