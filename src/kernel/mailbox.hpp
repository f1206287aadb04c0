// What /dev/vcio speaks: the firmware's mailbox, in whose buffer one property is asked and answered in place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <linux/ioctl.h>

namespace vcsm::kernel::mailbox {

inline constexpr const char* node = "/dev/vcio";
/// The CPU's way to what the mailbox gives: mapped at the bus address without its two top bits.
inline constexpr const char* memory_node = "/dev/mem";
inline constexpr std::uint32_t physical_mask = 0x3fffffff;

/// The argument's type is a pointer, so that its size, and with it the number, follow the program's.
inline constexpr unsigned long property_32 = _IOWR(100, 0, std::uint32_t);
inline constexpr unsigned long property_64 = _IOWR(100, 0, std::uint64_t);
inline constexpr unsigned long property = _IOWR(100, 0, char*);

static_assert(property_32 == 0xc0046400 && property_64 == 0xc0086400);
static_assert(property == (sizeof(void*) == 4 ? property_32 : property_64));

enum class tag : std::uint32_t {
    get_board_revision = 0x10002,
    get_arm_memory = 0x10005,
    get_videocore_memory = 0x10006,
    allocate_memory = 0x3000c, // size, alignment, flags -> handle
    lock_memory = 0x3000d,     // handle -> bus address
    unlock_memory = 0x3000e,   // handle -> 0 is success
    release_memory = 0x3000f,  // handle -> 0 is success
};

/// Flags of allocate_memory.
inline constexpr std::uint32_t flag_direct = 1U << 2; // uncached
inline constexpr std::uint32_t flag_coherent = 2U << 2;
inline constexpr std::uint32_t flag_l1_nonallocating = 3U << 2;
inline constexpr std::uint32_t flag_zero = 1U << 4;
inline constexpr std::uint32_t flag_no_init = 1U << 5;
inline constexpr std::uint32_t flag_hint_permalock = 1U << 6;

/// Words 1 of the buffer: a question, an answer, an answer that says that the question was not understood.
inline constexpr std::uint32_t request = 0;
inline constexpr std::uint32_t answered = 0x80000000;
inline constexpr std::uint32_t refused = 0x80000001;
/// Set beside the length in the answer's word 4.
inline constexpr std::uint32_t value_answered = 0x80000000;

/// A buffer with one property of `Values` words: {bytes, 0, tag, value bytes, 0, values..., 0}.
template <std::size_t Values>
struct buffer {
    std::uint32_t bytes = sizeof(buffer);
    std::uint32_t code = request;
    std::uint32_t property = 0;
    std::uint32_t value_bytes = Values * 4;
    std::uint32_t value_code = 0;
    std::array<std::uint32_t, Values> values{};
    std::uint32_t end = 0;
};
static_assert(sizeof(buffer<1>) == 28 && sizeof(buffer<3>) == 36);
static_assert(offsetof(buffer<3>, values) == 20 && offsetof(buffer<3>, end) == 32);

} // namespace vcsm::kernel::mailbox
