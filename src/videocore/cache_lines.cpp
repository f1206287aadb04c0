#include "videocore/cache_lines.hpp"

#include <array>
#include <cstdint>

// A program's threads may write to the CPU's copy while a line of it is taken, as they may while a real cache writes
// one back. That is their affair and no defect of the model, so ThreadSanitizer does not look at these reads; for the
// same reason they are made word by word and not by memcpy, which it looks at always.
#define VCSM_UNWATCHED __attribute__((no_sanitize("thread"), noinline))

namespace vcsm::videocore {

namespace {

using line = std::array<std::uint64_t, cache_line_bytes / sizeof(std::uint64_t)>;

// The blocks are made of pages, so lines are aligned; may_alias, because a user's objects live there.
using word __attribute__((may_alias)) = std::uint64_t;

VCSM_UNWATCHED line take(const std::byte* from) noexcept {
    line taken;
    const volatile word* const words = reinterpret_cast<const volatile word*>(from);
    for (std::size_t i = 0; i < taken.size(); ++i) {
        taken[i] = words[i];
    }
    return taken;
}

VCSM_UNWATCHED void put(std::byte* to, const line& taken) noexcept {
    volatile word* const words = reinterpret_cast<volatile word*>(to);
    for (std::size_t i = 0; i < taken.size(); ++i) {
        words[i] = taken[i];
    }
}

// Writes only what differs: a line that is the same stays untouched, and a page that nobody wrote stays unallocated.
void fetch(const copies& block, std::size_t at) noexcept {
    const line fetched = take(&block.videocore[at]);
    if (take(&block.cpu[at]) != fetched) {
        put(&block.cpu[at], fetched);
    }
    if (take(&block.baseline[at]) != fetched) {
        put(&block.baseline[at], fetched);
    }
}

} // namespace

void invalidate(const copies& block) noexcept {
    for (std::size_t at = 0; at < block.cpu.size(); at += cache_line_bytes) {
        fetch(block, at);
    }
}

void refetch_clean_lines(const copies& block) noexcept {
    for (std::size_t at = 0; at < block.cpu.size(); at += cache_line_bytes) {
        if (take(&block.cpu[at]) == take(&block.baseline[at])) {
            fetch(block, at);
        }
    }
}

std::size_t clean(const copies& block) noexcept {
    std::size_t cleaned = 0;
    for (std::size_t at = 0; at < block.cpu.size(); at += cache_line_bytes) {
        const line now = take(&block.cpu[at]);
        if (now != take(&block.baseline[at])) {
            put(&block.videocore[at], now);
            put(&block.baseline[at], now);
            ++cleaned;
        }
    }
    return cleaned;
}

std::size_t dirty_lines(const copies& block) noexcept {
    std::size_t dirty = 0;
    for (std::size_t at = 0; at < block.cpu.size(); at += cache_line_bytes) {
        dirty += take(&block.cpu[at]) != take(&block.baseline[at]) ? 1 : 0;
    }
    return dirty;
}

} // namespace vcsm::videocore
