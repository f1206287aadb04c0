#include "device/choose.hpp"

#include "device/simulated.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <unistd.h>

namespace vcsm::device {

namespace {

constexpr std::string_view known_devices = "vcsm-cma, vcsm, dma-heap[:HEAP], udmabuf, mailbox, v3d and simulated";

void say_simulated_once() noexcept {
    static std::atomic<bool> said{false};
    if (!said.exchange(true)) {
        constexpr std::string_view line = "vcsm: this is no Raspberry Pi: using the simulated VideoCore "
                                          "(VCSM_DEVICE=simulated says that you know)\n";
        (void)kernel::system().write(STDERR_FILENO, line.data(), line.size());
    }
}

} // namespace

std::shared_ptr<device> open(std::string_view name) {
    if (name == simulated_name) {
        return open_simulated();
    }
    throw std::invalid_argument{"unknown device \"" + std::string{name} + "\": known are " +
                                std::string{known_devices}};
}

std::shared_ptr<device> choose() {
    if (const char* const wanted = ::secure_getenv("VCSM_DEVICE"); wanted != nullptr && *wanted != '\0') {
        try {
            return open(wanted);
        } catch (const std::invalid_argument& unknown) {
            failure about;
            about.operation = "use what VCSM_DEVICE says";
            about.remedy = unknown.what();
            throw error{ENODEV, std::move(about)};
        }
    }
    auto chosen = open_simulated();
    say_simulated_once();
    return chosen;
}

std::vector<device_info> survey(std::string_view open) {
    device_info simulated;
    simulated.name = simulated_name;
    simulated.usable = true;
    simulated.chosen = open.empty() || open == simulated_name;
    simulated.videocore_handle = simulated_gives.videocore_handle;
    simulated.bus_address = simulated_gives.bus_address;
    simulated.dmabuf = simulated_gives.dmabuf;
    simulated.host_cache = simulated_gives.host_cache;
    simulated.max_bytes = simulated_max_bytes;
    return {simulated};
}

} // namespace vcsm::device
