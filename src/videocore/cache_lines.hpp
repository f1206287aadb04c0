// The CPU's cache, as far as it can be told apart from memory by what it does to a block.
//
// A host-cached block has two copies, the CPU's and VideoCore's. A third, the baseline, is what the CPU's copy was when
// it last agreed with memory: a line that differs from it is dirty. So a line to which the CPU wrote the very bytes
// that it had is clean here, where on a board it would be written back; nothing else is simplified.
#pragma once

#include <cstddef>
#include <span>

namespace vcsm::videocore {

/// Bytes of a cache line on every Raspberry Pi from the 2 on. (The Pi 0 and 1 have 32; 64 shows a superset of the
/// mistakes.) Source: CTR_EL0 of Cortex-A7, A53, A72 and A76.
inline constexpr std::size_t cache_line_bytes = 64;

/// The three copies of a block; equally long, whole lines.
struct copies {
    std::span<std::byte> videocore;
    std::span<std::byte> cpu;
    std::span<std::byte> baseline;
};

/// The CPU forgets its lines, dirty ones too: from now on it sees VideoCore's bytes.
void invalidate(const copies& block) noexcept;
/// The CPU forgets its clean lines alone, which a cache may do at any time.
void refetch_clean_lines(const copies& block) noexcept;
/// Writes back the lines that the CPU changed and no others; gives their number. The CPU may go on writing meanwhile:
/// each line is taken once.
std::size_t clean(const copies& block) noexcept;
/// How many lines the CPU has changed and not cleaned.
[[nodiscard]] std::size_t dirty_lines(const copies& block) noexcept;

} // namespace vcsm::videocore
