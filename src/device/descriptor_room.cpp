#include "device/descriptor_room.hpp"

#include "kernel/syscalls.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <exception>
#include <optional>
#include <string>

#include <unistd.h>

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
    constexpr std::size_t looked_at = spare_descriptors; // each takes its time
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
    return std::all_of(highest.begin(), highest.end(),
                       [](const struct pollfd& one) { return (one.revents & POLLNVAL) != 0; });
}

/// Entries of the system's table of open files that are free; nothing where that cannot be told.
std::optional<std::uint64_t> free_files() {
    try {
        const std::string text = kernel::read_text("/proc/sys/fs/file-nr"); // "5824\t0\t9223372036854775807"
        const std::uint64_t open = std::stoull(text);
        const std::uint64_t limit =
            std::stoull(text.substr(text.find_last_of('\t') + 1)); // what is between is always 0
        return limit > open ? limit - open : 0;
    } catch (const std::exception&) { // no /proc, or no file can be opened
    }
    return std::nullopt;
}

/// More files than all processors together can open within `sure_for`: a call that opens one takes each of them above a
/// microsecond, at the very least a tenth of that.
constexpr std::chrono::microseconds sure_for{1000};
std::uint64_t opened_meanwhile() {
    static const auto processors = static_cast<std::uint64_t>(std::max(::sysconf(_SC_NPROCESSORS_CONF), 1L));
    return processors * static_cast<std::uint64_t>(sure_for.count()) * 10;
}

} // namespace

bool file_table::is_far_from_full() noexcept {
    const auto now = std::chrono::steady_clock::now();
    if (now < sure_until_) {
        return true;
    }
    const auto free = free_files();
    if (!free || *free <= opened_meanwhile()) {
        return false;
    }
    sure_until_ = now + sure_for;
    return true;
}

descriptor_room::descriptor_room(const about& what, file_table& files) : one_at_a_time_{allocations()} {
    const bool far_from_full = files.is_far_from_full();
    const bool plenty = are_plenty();
    if (far_from_full && plenty) {
        return;
    }
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
    if (plenty) {
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
