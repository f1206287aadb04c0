#include "pool_ranges.hpp"

#include "pool_chunk.hpp"

#include <algorithm>
#include <bit>

namespace vcsm::detail {

namespace {

constexpr std::size_t ranges_in_a_slab = 256;

// The first offset at which a block of that alignment can start in `range`.
std::size_t aligned_start(const pool_range& range, std::size_t alignment) noexcept {
    const std::uint64_t address = range.in->base + range.offset;
    const std::uint64_t aligned = (address + alignment - 1) & ~(static_cast<std::uint64_t>(alignment) - 1);
    return range.offset + static_cast<std::size_t>(aligned - address);
}

bool fits(const pool_range& range, std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t skipped = aligned_start(range, alignment) - range.offset;
    return skipped <= range.bytes && bytes <= range.bytes - skipped;
}

} // namespace

pool_ranges::place pool_ranges::place_of(std::size_t bytes) noexcept {
    const std::size_t granules = bytes / pool_granule;
    if (granules < steps) {
        return {0, static_cast<unsigned>(granules)};
    }
    const auto log2 = static_cast<unsigned>(std::bit_width(granules)) - 1;
    return {log2 - steps_log2 + 1, static_cast<unsigned>(granules >> (log2 - steps_log2)) & (steps - 1)};
}

void pool_ranges::list(pool_range* range) noexcept {
    const auto [level, step] = place_of(range->bytes);
    pool_range*& first = lists_[level][step];
    range->free = true;
    range->previous = nullptr;
    range->next = first;
    if (first != nullptr) {
        first->previous = range;
    }
    first = range;
    nonempty_steps_[level] |= 1U << step;
    nonempty_levels_ |= std::uint64_t{1} << level;
}

void pool_ranges::unlist(pool_range* range) noexcept {
    const auto [level, step] = place_of(range->bytes);
    range->free = false;
    if (range->next != nullptr) {
        range->next->previous = range->previous;
    }
    if (range->previous != nullptr) {
        range->previous->next = range->next;
        return;
    }
    lists_[level][step] = range->next;
    if (range->next == nullptr) {
        nonempty_steps_[level] &= ~(1U << step);
        if (nonempty_steps_[level] == 0) {
            nonempty_levels_ &= ~(std::uint64_t{1} << level);
        }
    }
}

void pool_ranges::reserve_two() {
    if (spares_ >= 2) {
        return;
    }
    slabs_.push_back(std::make_unique<pool_range[]>(ranges_in_a_slab));
    for (std::size_t i = 0; i < ranges_in_a_slab; ++i) {
        delete_range(&slabs_.back()[i]);
    }
}

pool_range* pool_ranges::new_range() noexcept {
    pool_range* const made = spare_;
    spare_ = made->next;
    --spares_;
    *made = {};
    return made;
}

void pool_ranges::delete_range(pool_range* range) noexcept {
    range->next = spare_;
    spare_ = range;
    ++spares_;
}

pool_range* pool_ranges::add(pool_chunk* in, std::size_t bytes) {
    reserve_two();
    pool_range* const whole = new_range();
    whole->in = in;
    whole->bytes = bytes;
    list(whole);
    return whole;
}

void pool_ranges::remove(pool_range* whole) noexcept {
    unlist(whole);
    delete_range(whole);
}

pool_range* pool_ranges::first_that_surely_fits(std::size_t bytes) const noexcept {
    // Every range of a class above that of `bytes` is large enough, and of its own class if `bytes` are its smallest.
    const std::size_t granules = bytes / pool_granule;
    const auto log2 = static_cast<unsigned>(std::bit_width(granules)) - 1;
    const std::size_t rounding = granules < steps ? 0 : (std::size_t{1} << (log2 - steps_log2)) - 1;
    auto [level, step] = place_of((granules + rounding) * pool_granule);
    if (const std::uint32_t in_level = nonempty_steps_[level] & (~std::uint32_t{0} << step); in_level != 0) {
        return lists_[level][static_cast<unsigned>(std::countr_zero(in_level))];
    }
    const std::uint64_t above = nonempty_levels_ & (~std::uint64_t{1} << level);
    if (above == 0) {
        return nullptr;
    }
    level = static_cast<unsigned>(std::countr_zero(above));
    return lists_[level][static_cast<unsigned>(std::countr_zero(nonempty_steps_[level]))];
}

// The last resort: the classes from that of `bytes` up to where a range surely fits, one by one.
pool_range* pool_ranges::search(std::size_t bytes, std::size_t alignment) const noexcept {
    const place from = place_of(bytes);
    const place to = place_of(bytes + (alignment > pool_granule ? alignment : 0));
    for (unsigned level = from.level; level <= std::min(to.level + 1, levels - 1); ++level) {
        for (unsigned step = level == from.level ? from.step : 0; step < steps; ++step) {
            for (pool_range* each = lists_[level][step]; each != nullptr; each = each->next) {
                if (fits(*each, bytes, alignment)) {
                    return each;
                }
            }
        }
    }
    return nullptr;
}

pool_range* pool_ranges::cut(pool_range* from, std::size_t start, std::size_t bytes) {
    unlist(from);
    if (start > from->offset) {
        pool_range* const gap = new_range();
        gap->in = from->in;
        gap->offset = from->offset;
        gap->bytes = start - from->offset;
        gap->before = from->before;
        gap->behind = from;
        if (gap->before != nullptr) {
            gap->before->behind = gap;
        }
        from->before = gap;
        from->offset = start;
        from->bytes -= gap->bytes;
        list(gap);
    }
    if (from->bytes > bytes) {
        pool_range* const rest = new_range();
        rest->in = from->in;
        rest->offset = from->offset + bytes;
        rest->bytes = from->bytes - bytes;
        rest->before = from;
        rest->behind = from->behind;
        if (rest->behind != nullptr) {
            rest->behind->before = rest;
        }
        from->behind = rest;
        from->bytes = bytes;
        list(rest);
    }
    return from;
}

pool_range* pool_ranges::take(std::size_t bytes, std::size_t alignment) {
    reserve_two();
    pool_range* found = first_that_surely_fits(bytes + (alignment > pool_granule ? alignment - pool_granule : 0));
    if (found == nullptr) {
        found = search(bytes, alignment);
    }
    return found == nullptr ? nullptr : cut(found, aligned_start(*found, alignment), bytes);
}

pool_range* pool_ranges::give_back(pool_range* taken) noexcept {
    if (pool_range* const before = taken->before; before != nullptr && before->free) {
        unlist(before);
        before->bytes += taken->bytes;
        before->behind = taken->behind;
        if (taken->behind != nullptr) {
            taken->behind->before = before;
        }
        delete_range(taken);
        taken = before;
    }
    if (pool_range* const behind = taken->behind; behind != nullptr && behind->free) {
        unlist(behind);
        taken->bytes += behind->bytes;
        taken->behind = behind->behind;
        if (taken->behind != nullptr) {
            taken->behind->before = taken;
        }
        delete_range(behind);
    }
    list(taken);
    return taken;
}

std::size_t pool_ranges::largest_free() const noexcept {
    if (nonempty_levels_ == 0) {
        return 0;
    }
    const auto level = static_cast<unsigned>(std::bit_width(nonempty_levels_)) - 1;
    const auto step = static_cast<unsigned>(std::bit_width(nonempty_steps_[level])) - 1;
    std::size_t largest = 0;
    for (const pool_range* each = lists_[level][step]; each != nullptr; each = each->next) {
        largest = std::max(largest, each->bytes);
    }
    return largest;
}

} // namespace vcsm::detail
