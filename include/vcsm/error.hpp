// What goes wrong, said in one sentence: the operation, the device, the block, the bytes, the reason and the remedy.
#pragma once

#include <vcsm/types.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

namespace vcsm {

/// What a failed operation was about. Empty strings are left out of the sentence.
struct failure {
    std::string operation;              ///< "allocate", "lock", …: a verb that follows "cannot"
    std::string device;                 ///< the device's name, such as "vcsm-cma"
    std::string block;                  ///< the block's name, whole
    std::optional<std::uint64_t> bytes; ///< how many bytes it was about, where that matters
    std::string remedy;                 ///< what more is known, and what the user can do: a clause without a full stop
};

/// A device or the kernel refused. `code()` holds the errno in std::generic_category().
///
///     cannot allocate block "frame" of 3000000 bytes on dma-heap: Cannot allocate memory (ENOMEM); 98304 bytes are
///     free
///
/// What can be judged without a device is std::invalid_argument or std::length_error instead.
class VCSM_API error : public std::system_error {
  public:
    /// `errno_value` is a positive errno.
    error(int errno_value, failure what);
    /// The sentence.
    [[nodiscard]] const char* what() const noexcept override;
    /// What it was about, part by part.
    [[nodiscard]] const failure& details() const noexcept;

  private:
    struct parts;
    std::shared_ptr<const parts> parts_; // shared, so that copying the exception cannot throw
};

/// There is no room for a block (ENOMEM).
class VCSM_API out_of_memory : public error {
  public:
    /// With ENOMEM as its code.
    explicit out_of_memory(failure what);
};

/// The device cannot do that at all (ENOTSUP); the sentence names one that can.
class VCSM_API not_supported : public error {
  public:
    /// With ENOTSUP as its code.
    explicit not_supported(failure what);
};

/// The object holds no block that can be used (EBADF): it is empty, was moved from, its service was stopped, or it
/// belongs to the process that this one was forked from.
class VCSM_API no_block : public error {
  public:
    /// With EBADF as its code.
    explicit no_block(failure what);
};

/// Throws out_of_memory for ENOMEM, not_supported for ENOTSUP, else error.
[[noreturn]] VCSM_API void throw_error(int errno_value, failure what);

} // namespace vcsm
