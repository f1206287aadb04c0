// What this machine has for shared memory, what is wrong with it, and what mends it.
#pragma once

#include <vcsm/service.hpp>
#include <vcsm/types.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vcsm {

/// A device node that shared memory can come from.
struct node_info {
    std::string path;           ///< below /dev
    std::string target;         ///< where it leads, if it is a symbolic link
    bool there = false;         ///< the path leads to something, whatever it is
    std::string owner;          ///< a name, or a number where /etc/passwd has none
    std::string group;          ///< the same of /etc/group
    unsigned mode = 0;          ///< permission bits
    bool can_be_opened = false; ///< by this user, for reading and writing
    int why_not = 0;            ///< the errno of opening it
};

/// Something that is wrong, and the command or the line that mends it.
struct complaint {
    std::string what; ///< one sentence
    std::string mend; ///< to be typed, or to be written into a file that it names
};

/// What examine() found.
struct examination {
    bool raspberry_pi = false;                     ///< the device tree says that it is one
    std::string board;                             ///< as the device tree names it; empty where there is none
    std::string kernel;                            ///< its release, such as "6.12.25+rpt-rpi-2712"
    unsigned program_bits = 0;                     ///< of this program's addresses
    std::size_t page_size = 0;                     ///< in bytes
    std::string user;                              ///< who runs this: a name, or a number that has none
    std::vector<std::string> groups;               ///< all that this process is in, each as a name or a number
    std::vector<node_info> nodes;                  ///< those of this board's interfaces, there or not
    std::optional<std::uint64_t> contiguous_total; ///< bytes of CMA
    std::optional<std::uint64_t> contiguous_free;  ///< bytes of CMA
    /// The largest contiguous block that can be had now, in bytes, found by trying; empty where no contiguous heap can
    /// be opened.
    std::optional<std::uint64_t> largest_block;
    std::optional<std::uint64_t> gpu_memory; ///< bytes of the GPU's part, where the firmware tells
    std::vector<device_info> devices;        ///< all that the library knows, in the order of choosing
    std::string device;                      ///< the one that would be used; empty: none
    std::vector<complaint> complaints;       ///< none where all is well
};

/// Examines the machine as this user sees it. Changes nothing: what it opens or allocates in trying is given back.
[[nodiscard]] VCSM_API examination examine();

} // namespace vcsm
