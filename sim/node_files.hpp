// What a program holds when it has opened a device.
//
// It wants a file that this kernel treats as the drivers treat theirs: read, write, fsync and ftruncate EINVAL, mmap
// ENODEV, poll always ready, and an identity of its own. An ordinary file in /proc does so when its position is the
// highest that there is; the name of a thread is one that every kernel has and that is ours. So each device is a thread
// that sleeps. (/dev/null would be a character device to fstat, but it can be read and written.)
#pragma once

#include "kernel/syscalls.hpp"
#include "target.hpp"
#include "tree.hpp"

#include <map>
#include <string>
#include <thread>
#include <vector>

namespace vcsm::sim {

class node_files {
  public:
    /// Throws std::system_error.
    explicit node_files(const sim::tree& of);
    node_files(const node_files&) = delete;
    node_files& operator=(const node_files&) = delete;
    ~node_files();

    /// One more open of the device; `flags` as the program gave them. Throws std::system_error.
    [[nodiscard]] kernel::unique_fd open(const entry& device, int flags) const;
    /// The device that such a file is, or nothing.
    [[nodiscard]] const entry* find(const file_key& key) const noexcept;

  private:
    struct sleeper {
        std::thread thread;
        std::string path; // of its name
        kernel::unique_fd kept;
    };
    kernel::unique_fd wake_; // the sleepers read from the other end
    kernel::unique_fd sleep_;
    std::map<const entry*, sleeper> sleepers_;
    std::map<file_key, const entry*> by_key_;
};

} // namespace vcsm::sim
