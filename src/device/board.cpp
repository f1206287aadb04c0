#include "device/board.hpp"

#include "device/report.hpp"
#include "kernel/proc_text.hpp"
#include "kernel/syscalls.hpp"

#include <algorithm>
#include <cerrno>

namespace vcsm::device {

namespace {

std::string device_tree(const char* property) {
    try {
        return kernel::read_text(std::string{"/proc/device-tree/"} + property, std::size_t{64} << 10);
    } catch (const std::system_error& failed) {
        if (const int value = failed.code().value(); value != ENOENT && value != ENOTDIR) {
            // Not to be taken for "this is no Raspberry Pi": the simulation would look like success.
            fail(value, {"tell what board this is"}, "what the kernel says of it in /proc/device-tree cannot be read");
        }
        return {};
    }
}

} // namespace

board this_board() {
    board found;
    found.compatible = kernel::parse_compatible(device_tree("compatible"));
    found.is_raspberry_pi = std::any_of(found.compatible.begin(), found.compatible.end(),
                                        [](const std::string& each) { return each.rfind("raspberrypi,", 0) == 0; });
    found.model = device_tree("model");
    found.model.resize(std::min(found.model.size(), found.model.find('\0')));
    return found;
}

} // namespace vcsm::device
