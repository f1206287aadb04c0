// VideoCore's memory as addresses: which ranges are free. Fragmentation is real; nothing is ever moved.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace vcsm::videocore {

/// Hands out ranges of [0, size) in whole units of `page` bytes, the smallest free piece that fits first. Logarithmic
/// in the number of free pieces. Not safe to call from several threads at once.
class heap {
  public:
    /// `size` and `page` in bytes; `size` is a multiple of `page`, which is a power of two.
    heap(std::size_t size, std::size_t page);

    /// The offset of `bytes` (rounded up to pages) at a multiple of `alignment` (a power of two; `origin` is added to
    /// the offset before it is judged), or nothing where no free piece holds them. May throw std::bad_alloc; then
    /// nothing has changed.
    [[nodiscard]] std::optional<std::size_t> take(std::size_t bytes, std::size_t alignment = 1, std::size_t origin = 0);
    /// Gives back exactly what `take` gave for `bytes`. Never fails.
    void give_back(std::size_t offset, std::size_t bytes) noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t free_bytes() const noexcept { return free_; }
    /// The largest block that take() could give now, in bytes.
    [[nodiscard]] std::size_t largest_free() const noexcept;

  private:
    using by_size = std::set<std::pair<std::size_t, std::size_t>>; // {bytes, offset} of every free piece

    // A free or taken stretch of the memory; together they cover all of it. A taken one keeps its node of
    // `free_pieces_` here, so that giving it back allocates nothing.
    struct piece {
        std::size_t bytes;
        by_size::node_type idle; // empty: the piece is free
    };
    using by_offset = std::map<std::size_t, piece>;

    [[nodiscard]] std::size_t rounded(std::size_t bytes) const noexcept;
    /// Cuts a free piece in two at `bytes` from its start. May throw; then nothing has changed.
    void cut(by_offset::iterator at, std::size_t bytes);
    void mark_free(by_offset::iterator at) noexcept;
    void absorb_next(by_offset::iterator at) noexcept;

    std::size_t size_;
    std::size_t page_;
    std::size_t free_;
    by_offset pieces_;
    by_size free_pieces_;
};

} // namespace vcsm::videocore
