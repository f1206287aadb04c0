// Which ranges of a pool's allocations are free. The bookkeeping lies outside of the memory that it is about, which may
// be uncached and is VideoCore's as well.
#pragma once

#include <vcsm/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace vcsm::detail {

/// Blocks begin and end here: no two of them are in one cache line (of at most 64 bytes on every Raspberry Pi), for
/// cleaning one would write over what VideoCore has put into the other.
inline constexpr std::size_t pool_granule = 64;

struct pool_chunk;

/// A piece of an allocation, taken or free; all pieces of one lie side by side.
struct pool_range {
    pool_chunk* in = nullptr;
    std::size_t offset = 0; ///< in bytes, as all here
    std::size_t bytes = 0;
    pool_range* before = nullptr; ///< its neighbours in the allocation
    pool_range* behind = nullptr;
    pool_range* previous = nullptr; ///< in the list of free ones of its class
    pool_range* next = nullptr;
    bool free = false;
};

/// Two-level segregated lists of free ranges (TLSF): sixteen classes for each power of two, and a bit for each class
/// that says whether there is one. So a range is taken, and given back and made one with its free neighbours, in
/// constant time; but for the last resort, when memory is nearly used up, of searching one class. Not safe to use from
/// several threads.
class pool_ranges {
  public:
    pool_ranges() = default;
    pool_ranges(const pool_ranges&) = delete;
    pool_ranges& operator=(const pool_ranges&) = delete;

    /// All of a new allocation, `bytes` long, as one free range. `bytes` are whole granules.
    [[nodiscard]] pool_range* add(pool_chunk* in, std::size_t bytes);
    /// Forgets an allocation; `whole` is all of it, free.
    void remove(pool_range* whole) noexcept;

    /// A range of `bytes`, whole granules, whose address (`base` of its allocation + offset) is a multiple of
    /// `alignment`, a power of two; or nothing.
    [[nodiscard]] pool_range* take(std::size_t bytes, std::size_t alignment);
    /// Takes a free range as it is.
    pool_range* take_all(pool_range* range) noexcept {
        unlist(range);
        return range;
    }
    /// Gives back; what it is now part of.
    pool_range* give_back(pool_range* taken) noexcept;

    /// Bytes of the largest free range.
    [[nodiscard]] std::size_t largest_free() const noexcept;

  private:
    static constexpr unsigned steps_log2 = 4;
    static constexpr unsigned steps = 1U << steps_log2;
    static constexpr unsigned levels = 60;

    struct place {
        unsigned level;
        unsigned step;
    };

    [[nodiscard]] static place place_of(std::size_t bytes) noexcept;
    [[nodiscard]] pool_range* first_that_surely_fits(std::size_t bytes) const noexcept;
    [[nodiscard]] pool_range* search(std::size_t bytes, std::size_t alignment) const noexcept;
    [[nodiscard]] pool_range* cut(pool_range* from, std::size_t start, std::size_t bytes);
    void list(pool_range* range) noexcept;
    void unlist(pool_range* range) noexcept;
    void reserve_two();
    [[nodiscard]] pool_range* new_range() noexcept;
    void delete_range(pool_range* range) noexcept;

    std::uint64_t nonempty_levels_ = 0;
    std::array<std::uint32_t, levels> nonempty_steps_{};
    std::array<std::array<pool_range*, steps>, levels> lists_{};
    std::vector<std::unique_ptr<pool_range[]>> slabs_;
    pool_range* spare_ = nullptr;
    std::size_t spares_ = 0;
};

} // namespace vcsm::detail
