// From any address inside a block to its handle.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace vcsm::detail {

/// Ranges of addresses, each with a handle. Constant time for whole pages: addresses fall into chunks of 2 MiB, a hash
/// table finds the chunk, and an array in it the page. Ranges that share a page with others (small blocks of a pool)
/// are kept in a tree beside it.
///
/// One thread changes it at a time. find() takes no lock and may run meanwhile; what it gives then can be wrong, so its
/// caller must notice changes (the registry's version does that). Nothing that find() may be looking at is ever freed,
/// but it may be used again.
class address_index {
  public:
    address_index();

    /// Enters a range, or gives a known one another handle. Throws std::bad_alloc; then nothing has changed.
    void put(const std::byte* first, std::size_t bytes, std::uint32_t handle);
    void remove(const std::byte* first, std::size_t bytes) noexcept;
    /// Takes a range out and enters another in its place, which may overlap it. Throws std::bad_alloc; then nothing has
    /// changed.
    void replace(const std::byte* old_first, std::size_t old_bytes, const std::byte* first, std::size_t bytes,
                 std::uint32_t handle);
    void clear() noexcept;

    /// The handle whose range of whole pages has that address in it, or 0.
    [[nodiscard]] std::uint32_t find(const void* address) const noexcept;
    /// Whether find_small() must be asked where find() gave 0.
    [[nodiscard]] bool has_small() const noexcept { return small_count_.load(std::memory_order_acquire) != 0; }
    /// The same for the ranges beside. Not while it is changed.
    [[nodiscard]] std::uint32_t find_small(const void* address) const noexcept;

  private:
    using cell = std::atomic<std::uint32_t>;

    struct chunk {
        std::atomic<std::uintptr_t> key{0};  // the chunk's number + 1; 0: never used
        std::atomic<std::uint32_t> whole{0}; // one range covers all of it
        std::atomic<cell*> pages{nullptr};
        std::uint32_t used = 0; // pages that have a handle
    };
    struct table {
        explicit table(std::size_t size) : chunks(std::make_unique<chunk[]>(size)), mask{size - 1} {}
        std::unique_ptr<chunk[]> chunks;
        std::size_t mask;
    };
    struct small_range {
        std::size_t bytes;
        std::uint32_t handle;
    };

    [[nodiscard]] bool is_whole_pages(std::uintptr_t first, std::size_t bytes) const noexcept;
    [[nodiscard]] static chunk* find_chunk(const table& in, std::uintptr_t number) noexcept;
    /// The chunk of that number; there is room for it.
    chunk& make_chunk(std::uintptr_t number) noexcept;
    /// Sees to it that so many more chunks find room. May throw; then nothing has changed.
    void make_room(std::size_t chunks);
    /// A table without entries: the one before the current one where that is as large, so that blocks which wander over
    /// many addresses do not leave a table behind for every few of them.
    table& make_table(std::size_t size);
    void make_pages(chunk& in);
    /// Does all that can fail of entering a range of whole pages.
    void prepare(std::uintptr_t start, std::size_t bytes);
    /// Calls each(chunk number, first page in it, pages) for what a range has in each chunk.
    template <class Each>
    void for_chunks(std::uintptr_t first, std::size_t bytes, Each&& each) const;

    unsigned page_bits_;
    std::size_t pages_in_chunk_;
    std::atomic<const table*> current_;
    std::vector<std::unique_ptr<table>> tables_; // the last is current, the others may still be looked at; two of each
                                                 // size at the most
    std::size_t chunks_ = 0;                     // used entries of the current table
    std::vector<std::unique_ptr<cell[]>> arrays_;
    std::vector<cell*> unused_arrays_;
    std::map<std::uintptr_t, small_range> small_;
    std::atomic<std::size_t> small_count_{0};
};

} // namespace vcsm::detail
