#include "device/descriptor_room.hpp"

#include "kernel/syscalls.hpp"

#include <array>

namespace vcsm::device {

namespace {

std::mutex& allocations() {
    static std::mutex one; // the service lets no operation run during a fork, so no child inherits it locked
    return one;
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
    for (std::size_t i = 1; i != spare.size(); ++i) {
        spare[i].reset(kernel::retried([&] { return kernel::system().fcntl(spare[0].get(), F_DUPFD_CLOEXEC, 0); }));
        if (!spare[i]) {
            refuse();
        }
    }
}

} // namespace vcsm::device
