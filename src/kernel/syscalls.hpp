// System calls as the rest of the library uses them: repeated when a signal interrupts them, failures as exceptions
// that name the call, descriptors and mappings as objects.
#pragma once

#include "kernel/calls.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <sched.h>

namespace vcsm::kernel {

/// Repeats `call` while it fails with EINTR or EAGAIN; gives its last result, errno as it left it.
template <class Call>
auto retried(Call&& call) -> decltype(call()) {
    for (;;) {
        const auto result = call();
        if (result != static_cast<decltype(result)>(-1)) {
            return result;
        }
        if (errno == EAGAIN) {
            ::sched_yield();
        } else if (errno != EINTR) {
            return result;
        }
    }
}

/// std::system_error with errno and the call's name.
[[noreturn]] void throw_errno(const char* call);

/// The same open file under a number above those of the standard streams, and the one given closed; the one given where
/// there is no other to be had. Leaves errno as it was.
[[nodiscard]] int above_standard_streams(int descriptor) noexcept;

/// A descriptor that is closed with its owner. Empty: -1. Its number is above 2: in a program that was started with a
/// standard stream closed, the kernel gives out that number, and what is printed would land in a block.
class unique_fd {
  public:
    unique_fd() noexcept = default;
    explicit unique_fd(int descriptor) noexcept : descriptor_{kept(descriptor)} {}
    unique_fd(unique_fd&& other) noexcept : descriptor_{std::exchange(other.descriptor_, -1)} {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        if (this != &other) {
            reset(other.release());
        }
        return *this;
    }
    ~unique_fd() { reset(); }

    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] explicit operator bool() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }
    /// Leaves errno as it was.
    void reset(int descriptor = -1) noexcept;

  private:
    static int kept(int descriptor) noexcept {
        return descriptor < 0 || descriptor > 2 ? descriptor : above_standard_streams(descriptor);
    }

    int descriptor_ = -1;
};

/// A mapping that is unmapped with its owner.
class mapping {
  public:
    mapping() noexcept = default;
    mapping(std::byte* address, std::size_t bytes) noexcept : address_{address}, bytes_{bytes} {}
    mapping(mapping&& other) noexcept
        : address_{std::exchange(other.address_, nullptr)}, bytes_{std::exchange(other.bytes_, 0)} {}
    mapping& operator=(mapping&& other) noexcept {
        if (this != &other) {
            reset();
            address_ = std::exchange(other.address_, nullptr);
            bytes_ = std::exchange(other.bytes_, 0);
        }
        return *this;
    }
    ~mapping() { reset(); }

    [[nodiscard]] std::byte* data() const noexcept { return address_; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_; }
    [[nodiscard]] explicit operator bool() const noexcept { return address_ != nullptr; }
    void reset() noexcept;
    /// Forgets the mapping without unmapping it: for the child of a fork, which has not inherited it.
    void forget() noexcept {
        address_ = nullptr;
        bytes_ = 0;
    }

  private:
    std::byte* address_ = nullptr;
    std::size_t bytes_ = 0;
};

/// The system's page size in bytes: 4096 on most boards, 16384 on a Raspberry Pi 5.
[[nodiscard]] std::size_t page_size() noexcept;
/// `bytes` rounded up to whole pages; 0 stays 0, what would not fit into std::size_t becomes 0.
[[nodiscard]] std::size_t round_up_to_pages(std::size_t bytes) noexcept;

/// Opens with O_CLOEXEC added. Throws std::system_error.
[[nodiscard]] unique_fd open(const std::string& path, int flags);
/// The same; an empty object and errno instead of an exception.
[[nodiscard]] unique_fd try_open(const std::string& path, int flags) noexcept;
/// What /proc says that a descriptor is of ("/memfd:…", "anon_inode:…"), as much of it as `into` holds; empty where it
/// cannot be told.
[[nodiscard]] std::string_view link_of(int descriptor, std::span<char> into) noexcept;
/// A second descriptor of the same open file, close-on-exec. Throws std::system_error.
[[nodiscard]] unique_fd duplicate(int descriptor);
/// A shared mapping, readable and writable, that a fork does not inherit. Throws std::system_error.
[[nodiscard]] mapping map_shared(int descriptor, std::size_t bytes, off_t offset = 0);
/// ioctl, repeated when interrupted; 0 or the errno.
[[nodiscard]] int ioctl(int descriptor, unsigned long request, void* argument) noexcept;
/// A file's whole text (of at most `limit` bytes), also for files in /proc that have no size. Throws std::system_error.
/// This and the next are exported for the C library, which prints what /proc tells.
[[nodiscard, gnu::visibility("default")]] std::string read_text(const std::string& path,
                                                                std::size_t limit = std::size_t{16} << 20);
/// Names in a directory, sorted, without "." and "..". Throws std::system_error.
[[nodiscard, gnu::visibility("default")]] std::vector<std::string> list_directory(const std::string& path);
/// Writes all of it. Throws std::system_error.
void write_all(int descriptor, std::span<const std::byte> bytes);

} // namespace vcsm::kernel
