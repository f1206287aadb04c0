// What machine this is.
#pragma once

#include <string>
#include <vector>

namespace vcsm::device {

struct board {
    bool is_raspberry_pi = false;
    std::string model;                   ///< "Raspberry Pi 4 Model B Rev 1.4"; empty where the machine does not say
    std::vector<std::string> compatible; ///< "raspberrypi,4-model-b", "brcm,bcm2711"
};

/// Asks the device tree. A machine without one is no Raspberry Pi.
/// Throws vcsm::error where it cannot be told.
[[nodiscard]] board this_board();

} // namespace vcsm::device
