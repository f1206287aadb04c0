// The Raspberry Pis that can be stood in for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vcsm::sim {

/// One model of Raspberry Pi with the system of its time.
struct board {
    const char* name;        ///< as --model takes it
    const char* description; ///< as /proc/device-tree/model has it
    const char* compatible;  ///< strings that end with NUL, as in /proc/device-tree/compatible
    std::size_t compatible_bytes;
    std::uint32_t revision;
    bool legacy;              ///< has /dev/vcsm
    bool videocore;           ///< has /dev/vcsm-cma and /dev/vcio
    bool heaps;               ///< has /dev/dma_heap
    const char* vidbuf;       ///< the heap that vidbuf_cached links to
    std::uint64_t bus_base;   ///< bus address of the first byte of VideoCore's memory
    std::size_t memory_bytes; ///< unless the user says otherwise
};

/// All of them, the default first.
[[nodiscard]] const std::vector<board>& boards();
/// Throws std::invalid_argument, which lists the known names.
[[nodiscard]] const board& find_board(std::string_view name);

} // namespace vcsm::sim
