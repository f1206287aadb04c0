#include "board.hpp"

#include <stdexcept>

namespace vcsm::sim {

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

template <std::size_t Size>
constexpr std::size_t length(const char (&)[Size]) {
    return Size; // with the NUL that ends the last string
}

constexpr char compatible_1[] = "raspberrypi,model-b-plus\0brcm,bcm2835";
constexpr char compatible_3[] = "raspberrypi,3-model-b-plus\0brcm,bcm2837";
constexpr char compatible_4[] = "raspberrypi,4-model-b\0brcm,bcm2711";
constexpr char compatible_5[] = "raspberrypi,5-model-b\0brcm,bcm2712";

} // namespace

const std::vector<board>& boards() {
    // Revisions are those of boards that were sold: B+ 1.2, 3B+ 1.3, 4B 1.4 (4 GiB), 5 1.0 (8 GiB).
    static const std::vector<board> all{
        {"pi4", "Raspberry Pi 4 Model B Rev 1.4", compatible_4, length(compatible_4), 0xc03114, false, true, true,
         "linux,cma", 0xc0000000, 512 * mebibyte},
        {"pi1", "Raspberry Pi Model B Plus Rev 1.2", compatible_1, length(compatible_1), 0x900032, false, true, true,
         "linux,cma", 0x80000000, 64 * mebibyte},
        {"pi3", "Raspberry Pi 3 Model B Plus Rev 1.3", compatible_3, length(compatible_3), 0xa020d3, false, true, true,
         "linux,cma", 0xc0000000, 256 * mebibyte},
        {"pi5", "Raspberry Pi 5 Model B Rev 1.0", compatible_5, length(compatible_5), 0xd04170, false, false, true,
         "system", 0, 64 * mebibyte},
        {"legacy", "Raspberry Pi 3 Model B Plus Rev 1.3", compatible_3, length(compatible_3), 0xa020d3, true, true,
         false, "", 0xc0000000, 128 * mebibyte},
    };
    return all;
}

const board& find_board(std::string_view name) {
    std::string known;
    for (const board& each : boards()) {
        if (name == each.name) {
            return each;
        }
        known += known.empty() ? "" : ", ";
        known += each.name;
    }
    throw std::invalid_argument{"there is no model \"" + std::string{name} + "\"; it is one of " + known};
}

} // namespace vcsm::sim
