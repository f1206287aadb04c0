// The shared blocks of this machine's processes, as the kernel tells of them.
#pragma once

#include <vcsm/types.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace vcsm {

/// A shared block as one process holds it. The simulated VideoCore's blocks are their process's own and are not among
/// them.
struct held_block {
    pid_t process = 0;       ///< 0: no process that this user may look into; the kernel or a device holds it
    std::string command;     ///< the process's name, of at most 15 bytes
    std::string name;        ///< as the kernel knows it; empty where nobody named it
    std::uint64_t bytes = 0; ///< its whole size; of one that is only mapped, and unknown otherwise, the mapped part
    std::string exporter;    ///< the driver that made it; empty where that is not told
    std::uint64_t inode = 0; ///< the same for everybody who holds the same block
    std::vector<int> descriptors;                  ///< the process's own numbers of it; empty where it is only mapped
    std::uint64_t mapped_bytes = 0;                ///< of all the process's mappings of it together
    std::optional<std::uint32_t> videocore_handle; ///< root only, and only where it is certain
    std::optional<std::uint64_t> bus_address;      ///< the same
};

/// A block that VideoCore knows through /dev/vcsm-cma.
struct videocore_block {
    std::uint32_t videocore_handle = 0; ///< above 0
    std::string name;                   ///< as it was given to the driver
    std::uint64_t bytes = 0;            ///< whole pages
    std::uint64_t bus_address = 0;      ///< of its first byte
    bool imported = false;              ///< memory of another driver's
    bool freed = false;                 ///< no process has it any more, and VideoCore holds it
};

/// What list_shared_blocks() found.
struct shared_blocks {
    std::vector<held_block> held;            ///< by process, then in the order of its descriptors
    std::vector<videocore_block> videocores; ///< root only, on a board with /dev/vcsm-cma
    std::size_t unseen_processes = 0;        ///< that this user may not look into
    bool complete = false;                   ///< the kernel's own list was there to compare with (root, debugfs)
};

/// Looks through /proc and, where it may, the kernel's own lists in /sys/kernel/debug. Processes that end meanwhile are
/// left out. Throws vcsm::error where /proc cannot be read at all.
[[nodiscard]] VCSM_API shared_blocks list_shared_blocks();

/// Copies what a descriptor of another process stands for to `target`, a descriptor open for writing; gives the bytes
/// written. The block is locked for reading meanwhile. Throws vcsm::error: ESRCH where there is no such process, EPERM
/// where this user may not look into it (see ptrace(2)), EBADF where it has no such descriptor, EINVAL for what is no
/// shared block, and what writing gives.
VCSM_API std::uint64_t copy_block_of(pid_t process, int descriptor, int target);

} // namespace vcsm
