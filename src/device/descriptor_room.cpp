#include "device/descriptor_room.hpp"

#include "kernel/syscalls.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <exception>
#include <string>

namespace vcsm::device {

namespace {

std::mutex& allocations() {
    static std::mutex one; // the service lets no operation run during a fork, so no child inherits it locked
    return one;
}

/// The largest number of descriptors that the system lets any process have.
rlim_t most_descriptors() {
    static const rlim_t most = [] {
        try {
            return static_cast<rlim_t>(std::stoull(kernel::read_text("/proc/sys/fs/nr_open")));
        } catch (const std::exception&) {
            return rlim_t{1024}; // without /proc, what every system lets a process have
        }
    }();
    return most;
}

/// Whether enough descriptors are free as two calls can tell. The kernel gives out the lowest free numbers first, so in
/// nearly every program the highest that its limit allows are free; and a number that poll() calls invalid is not open.
bool are_plenty() {
    constexpr std::size_t looked_at = spare_descriptors + 8;
    struct rlimit limits {};
    if (kernel::system().getrlimit(RLIMIT_NOFILE, &limits) != 0) {
        return false;
    }
    const rlim_t end = std::min({limits.rlim_cur, most_descriptors(), static_cast<rlim_t>(INT_MAX)});
    if (end < looked_at) {
        return false;
    }
    std::array<struct pollfd, looked_at> highest{};
    for (std::size_t i = 0; i != looked_at; ++i) {
        highest[i].fd = static_cast<int>(end - 1 - i);
    }
    if (kernel::system().poll(highest.data(), looked_at, 0) < 0) {
        return false;
    }
    const auto free = std::count_if(highest.begin(), highest.end(),
                                    [](const struct pollfd& one) { return (one.revents & POLLNVAL) != 0; });
    return free >= spare_descriptors;
}

} // namespace

descriptor_room::descriptor_room(const about& what) : one_at_a_time_{allocations()} {
    const auto refuse = [&what] {
        const int failed = errno;
        fail(failed, what,
             "this device needs " + std::to_string(spare_descriptors) +
                 " free descriptors to be safe: close files or blocks, or raise the limit (ulimit -n)");
    };
    std::array<kernel::unique_fd, spare_descriptors> spare;
    spare[0] = kernel::try_open("/dev/null", O_RDONLY);
    if (!spare[0]) {
        refuse();
    }
    if (are_plenty()) {
        return;
    }
    for (std::size_t i = 1; i != spare.size(); ++i) {
        spare[i].reset(kernel::retried([&] { return kernel::system().fcntl(spare[0].get(), F_DUPFD_CLOEXEC, 0); }));
        if (!spare[i]) {
            refuse();
        }
    }
}

} // namespace vcsm::device
