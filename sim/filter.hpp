// Which calls of a program wait for the supervisor.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <linux/filter.h>

namespace vcsm::sim {

/// The intercepted calls, whatever their number in the program's system-call table.
enum class call : std::uint8_t {
    open,
    openat,
    openat2,
    creat,
    access,
    faccessat,
    faccessat2,
    stat,
    lstat,
    stat64,
    lstat64,
    newfstatat,
    fstatat64,
    statx,
    readlink,
    readlinkat,
    getxattr,
    lgetxattr,
    getdents,
    getdents64,
    ioctl,
    lseek,
    llseek,
    ftruncate,
    ftruncate64,
    fallocate,
    fsync,
    fdatasync,
    msync,
    mremap,
    madvise,
    mmap,
    mmap2,
    chroot,
    execve,
    execveat,
    exit,
    exit_group,
};

struct filter {
    std::vector<sock_filter> program;
    /// What a notification's {architecture, number} means.
    std::map<std::pair<std::uint32_t, int>, call> calls;
};

/// The filter for this machine's programs: 64-bit and 32-bit, on x86 x32 too. `all_mappings`: every shared mapping of
/// a file waits, not only those at an offset. Throws std::system_error.
[[nodiscard]] filter make_filter(bool all_mappings);

} // namespace vcsm::sim
