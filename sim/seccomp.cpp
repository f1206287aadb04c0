#include "seccomp.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

constexpr unsigned long filter_flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

long seccomp(unsigned operation, unsigned long flags, void* argument) noexcept {
    return ::syscall(SYS_seccomp, operation, flags, argument);
}

std::vector<std::uint64_t> words_for(std::size_t bytes) {
    return std::vector<std::uint64_t>((bytes + 7) / 8);
}

} // namespace

int install_filter(const std::vector<sock_filter>& program) noexcept {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -errno;
    }
    sock_fprog described{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
    const long descriptor = seccomp(SECCOMP_SET_MODE_FILTER, filter_flags, &described);
    return descriptor < 0 ? -errno : static_cast<int>(descriptor);
}

std::string what_the_kernel_lacks() {
    seccomp_notif_sizes sizes{};
    if (seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) {
        return errno == EPERM
                   ? "this container forbids seccomp(2); allow it (Docker: --security-opt seccomp=unconfined)"
                   : "this kernel has no seccomp user notification (Linux 5.19 or later has all it needs)";
    }
    // A null program is a bad address where the flags are known, and a bad argument where they are not.
    if (seccomp(SECCOMP_SET_MODE_FILTER, filter_flags, nullptr) != 0 && errno != EFAULT) {
        return "this kernel is too old: seccomp's WAIT_KILLABLE_RECV came with Linux 5.19";
    }
    return {};
}

listener::listener(kernel::unique_fd descriptor) : descriptor_{std::move(descriptor)} {
    seccomp_notif_sizes sizes{};
    if (seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) {
        kernel::throw_errno("seccomp(SECCOMP_GET_NOTIF_SIZES)");
    }
    request_ = words_for(std::max(sizeof(seccomp_notif), std::size_t{sizes.seccomp_notif}));
    response_ = words_for(std::max(sizeof(seccomp_notif_resp), std::size_t{sizes.seccomp_notif_resp}));
    // Since Linux 6.6: the two sides take turns on one CPU. Without it all works, only slower.
    ::ioctl(descriptor_.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

const seccomp_notif* listener::receive() noexcept {
    std::fill(request_.begin(), request_.end(), 0);
    for (;;) {
        if (::ioctl(descriptor_.get(), SECCOMP_IOCTL_NOTIF_RECV, request_.data()) == 0) {
            return reinterpret_cast<const seccomp_notif*>(request_.data());
        }
        if (errno != EINTR) {
            return nullptr; // ENOENT: the caller was killed meanwhile
        }
    }
}

void listener::answer(std::uint64_t id, std::int64_t value, int error) noexcept {
    std::fill(response_.begin(), response_.end(), 0);
    auto* const response = reinterpret_cast<seccomp_notif_resp*>(response_.data());
    response->id = id;
    response->val = error != 0 ? 0 : value;
    response->error = -error;
    ::ioctl(descriptor_.get(), SECCOMP_IOCTL_NOTIF_SEND, response);
}

void listener::let_pass(std::uint64_t id) noexcept {
    std::fill(response_.begin(), response_.end(), 0);
    auto* const response = reinterpret_cast<seccomp_notif_resp*>(response_.data());
    response->id = id;
    response->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ::ioctl(descriptor_.get(), SECCOMP_IOCTL_NOTIF_SEND, response);
}

bool listener::waits(std::uint64_t id) const noexcept {
    return ::ioctl(descriptor_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int listener::give(std::uint64_t id, int descriptor, bool close_on_exec, bool finish) noexcept {
    seccomp_notif_addfd given{};
    given.id = id;
    given.flags = finish ? SECCOMP_ADDFD_FLAG_SEND : 0;
    given.srcfd = static_cast<std::uint32_t>(descriptor);
    given.newfd_flags = close_on_exec ? static_cast<std::uint32_t>(O_CLOEXEC) : 0;
    for (;;) {
        const int number = ::ioctl(descriptor_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &given);
        if (number >= 0 || errno != EINTR) {
            return number >= 0 ? number : -errno;
        }
    }
}

} // namespace vcsm::sim
