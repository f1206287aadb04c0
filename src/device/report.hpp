// How a device says what went wrong.
#pragma once

#include <vcsm/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vcsm::device {

/// What an operation of a device was about, for the sentence of its failure. It refers to strings that outlive it.
struct about {
    std::string_view operation; ///< a verb that follows "cannot"
    std::string_view device = {};
    std::string_view block = {};
    std::optional<std::uint64_t> bytes = std::nullopt;
};

/// Throws what fits `errno_value`; `remedy` is what the user can do.
[[noreturn]] void fail(int errno_value, const about& what, std::string remedy = {});

/// "N of M bytes of contiguous memory are free (CMA); …": what to tell someone who got none. Empty where the kernel
/// does not say.
[[nodiscard]] std::string free_contiguous_memory();
/// The same of all memory.
[[nodiscard]] std::string free_memory();
/// Bytes that the system could give without swapping or ending processes; empty where the kernel does not say.
[[nodiscard]] std::optional<std::uint64_t> available_memory();

} // namespace vcsm::device
