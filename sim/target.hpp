// The program's process, seen from outside: its memory, its descriptors, who it is.
//
// All of it can be gone, or another's, at any moment: the supervisor asks `listener::waits` before it acts on what it
// read here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <sys/types.h>

namespace vcsm::sim {

/// What a file is known by, as long as somebody has it open.
struct file_key {
    dev_t device = 0;
    ino_t number = 0;
    friend bool operator==(const file_key& left, const file_key& right) noexcept {
        return left.device == right.device && left.number == right.number;
    }
    friend bool operator<(const file_key& left, const file_key& right) noexcept {
        return left.number != right.number ? left.number < right.number : left.device < right.device;
    }
};

[[nodiscard]] inline file_key key_of(const struct stat& status) noexcept {
    return {status.st_dev, status.st_ino};
}

/// The thread that makes a call. Cheap to copy.
class target {
  public:
    explicit target(pid_t thread) noexcept : thread_{thread} {}

    [[nodiscard]] pid_t thread() const noexcept { return thread_; }
    /// The process's number; the thread's own where that cannot be read.
    [[nodiscard]] pid_t process() const;
    /// "/proc/THREAD/WHAT".
    [[nodiscard]] std::string proc(const char* what) const;
    [[nodiscard]] std::string proc_fd(int descriptor) const;

    /// Whole, or false: some of it cannot be read or written by the program itself.
    [[nodiscard]] bool read(std::uint64_t address, std::span<std::byte> into) const noexcept;
    [[nodiscard]] bool write(std::uint64_t address, std::span<const std::byte> from) const noexcept;
    template <class Struct>
    [[nodiscard]] bool get(std::uint64_t address, Struct& into) const noexcept {
        return read(address, std::as_writable_bytes(std::span{&into, 1}));
    }
    template <class Struct>
    [[nodiscard]] bool put(std::uint64_t address, const Struct& from) const noexcept {
        return write(address, std::as_bytes(std::span{&from, 1}));
    }
    /// A text that ends with NUL, shorter than `limit` bytes; 0, or the errno that the kernel has for it: EFAULT,
    /// ENAMETOOLONG.
    [[nodiscard]] int read_text(std::uint64_t address, std::string& into, std::size_t limit = 4096) const;

    /// What the descriptor is, or nothing where it is closed.
    [[nodiscard]] std::optional<struct stat> look_at(int descriptor) const noexcept;

  private:
    pid_t thread_;
};

/// A link's text, or nothing.
[[nodiscard]] std::optional<std::string> link_text(const std::string& path);
/// The whole of a small file in /proc; empty where it cannot be read.
[[nodiscard]] std::string text_of(const std::string& path) noexcept;
/// The value of a line such as "Tgid:\t12" in /proc/PID/status.
[[nodiscard]] std::optional<long> status_number(const std::string& status, const char* name);
/// The program's name as ps shows it.
[[nodiscard]] std::string name_of(pid_t process);
/// The process that started it, or 0.
[[nodiscard]] pid_t parent_of(pid_t process);
/// When it was forked, in clock ticks since the machine started; 0 where it is gone.
[[nodiscard]] std::uint64_t start_of(pid_t process);
/// Numbers of its open descriptors.
[[nodiscard]] std::vector<int> descriptors_of(pid_t process);

} // namespace vcsm::sim
