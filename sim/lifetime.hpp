// Knowing when a program has let go of memory for good.
//
// A program never gets a memfd itself but a second open of it, with a lock of its own on it. When the last descriptor
// and the last mapping of that open are gone, in whatever process, inotify says so and the lock is free; not before.
#pragma once

#include "kernel/syscalls.hpp"
#include "target.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace vcsm::sim {

class lifetimes {
  public:
    /// Throws std::system_error.
    lifetimes();

    /// To be polled: readable when something may be gone.
    [[nodiscard]] int descriptor() const noexcept { return watch_.get(); }

    /// A further open of `memfd` under a number that no other has. The memfd must stay open until that open is gone or
    /// forgotten. `flags` are O_RDONLY or O_RDWR. Throws std::system_error.
    struct opened {
        std::uint64_t id = 0;
        kernel::unique_fd file; ///< to be given to a program, and closed here
    };
    [[nodiscard]] opened open_again(int memfd, int flags);
    /// The open was never given to anybody.
    void forget(std::uint64_t id) noexcept;

    /// Those that are gone since the last question.
    [[nodiscard]] std::vector<std::uint64_t> gone();
    /// The same, and looks at every one that inotify cannot watch; slower.
    [[nodiscard]] std::vector<std::uint64_t> gone_for_sure();

    /// Which open the program's descriptor is, if it is one.
    [[nodiscard]] std::optional<std::uint64_t> which(const target& who, int descriptor, const file_key& file) const;
    /// Whether any open of this file lives.
    [[nodiscard]] bool knows(const file_key& file) const noexcept { return files_.count(file) != 0; }
    /// All opens of this file that live.
    [[nodiscard]] std::vector<std::uint64_t> opens_of(const file_key& file) const;
    [[nodiscard]] bool any() const noexcept { return !opens_.empty(); }

  private:
    struct watched {
        int memfd = -1;
        int watch = -1;   // -1: inotify's watches are used up
        bool ours = true; // nobody has it but by an open of ours
        std::vector<std::uint64_t> opens;
    };

    // A file of which something was closed, to be looked at again: the kernel says so before it lets go of the lock.
    // Source: __fput() in fs/file_table.c.
    struct closing {
        file_key file;
        std::chrono::steady_clock::time_point until;
    };

    [[nodiscard]] bool lives(const watched& file, std::uint64_t id) const noexcept;
    /// Adds to `gone`. False: nobody has it any more.
    bool look_at(const file_key& key, std::vector<std::uint64_t>& gone);
    /// Reads what inotify has to say; false: it has lost some of it.
    [[nodiscard]] bool hear(std::vector<file_key>& closed);
    void drop(file_key key, std::uint64_t id) noexcept;

    kernel::unique_fd watch_;
    std::map<file_key, watched> files_;
    std::map<int, file_key> by_watch_;
    std::map<std::uint64_t, file_key> opens_;
    std::vector<closing> closing_;
    std::uint64_t last_id_ = 0;
};

} // namespace vcsm::sim
