// A block of memory that the CPU and VideoCore share, held by one object.
#pragma once

#include <vcsm/error.hpp>
#include <vcsm/lock.hpp>
#include <vcsm/types.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace vcsm {

namespace detail {

class pool_state;
class reference;
struct inside;

/// A lock, and the `count` elements from `first` on that it was taken for.
struct held_part {
    held_lock lock;
    std::byte* first;
    std::size_t count;
};

template <class Range>
concept contiguous_bytes = std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
    std::is_trivially_copyable_v<std::ranges::range_value_t<Range>>;

} // namespace detail

/// What a block can be asked for beyond its size and name.
struct block_options {
    /// Who shall cache it. A device that cannot do that gives another, and granted_cache() says which.
    cache_mode cache = cache_mode::none;
    /// Of its bus address where it has one, else of the CPU's: a power of two. 1: whatever comes, at least a page.
    std::size_t alignment = 1;
};

/// Where a block lies in the memory that VideoCore knows by one handle.
struct location {
    std::uint32_t videocore_handle = 0; ///< of that memory
    std::size_t offset = 0;             ///< bytes from its start
};

/// Where a block lies in the memory that one dma-buf descriptor stands for.
struct dmabuf_place {
    int descriptor = -1;    ///< of that memory; not the caller's to close
    std::size_t offset = 0; ///< bytes from its start
};

/// One block. Owns it: movable, not copyable; destroying the object frees the block, which VideoCore may go on using.
///
///     vcsm::shared_memory table{grid.size_bytes(), "ls_grid"};
///     table.copy_from(grid);                                  // lock, copy, unlock
///     parameter.mem_handle_table = table.videocore_handle();
///
/// The first block starts the service (see service.hpp). Every member but the destructor and the moves throws
/// vcsm::no_block for an object that holds no block any more: it is empty, was moved from, was closed, its service was
/// stopped, or it was inherited by a fork. One object may be locked, copied from and to, and asked by several threads;
/// resizing, closing, moving and destroying it want it alone.
class VCSM_API shared_memory {
  public:
    /// Empty: holds no block.
    shared_memory() noexcept = default;
    /// A new block of `size` bytes, zero, on the service's device. The name is for people and logs; it is kept whole
    /// here, the kernel's interfaces keep 31 bytes of it. Where memory comes as a dma-buf, the block takes up addresses
    /// of this process only once it is locked or copied for the first time.
    /// Throws std::invalid_argument (size 0; an alignment that is no power of two), std::length_error (more than the
    /// device's interface can express), vcsm::out_of_memory, vcsm::error.
    explicit shared_memory(std::size_t size, std::string_view name = {}, block_options options = {});
    /// The same, with this cache mode.
    shared_memory(std::size_t size, std::string_view name, cache_mode cache)
        : shared_memory{size, name, block_options{cache, 1}} {}
    /// Takes the block over; `other` is empty then.
    shared_memory(shared_memory&& other) noexcept;
    /// The same; the block that this object held is freed first.
    shared_memory& operator=(shared_memory&& other) noexcept;
    ~shared_memory();

    /// The memory that a dma-buf descriptor stands for, `size` bytes of it (0: all). The descriptor stays the caller's.
    /// One of this process's own blocks gives a second reference to it, with that block's size. Throws
    /// std::length_error for more bytes than there are, vcsm::error: not_supported where the device cannot import.
    [[nodiscard]] static shared_memory from_dmabuf(int descriptor, std::string_view name = {}, std::size_t size = 0);
    /// A second object, with a handle of its own, on the same block, which is freed with the last of them.
    [[nodiscard]] shared_memory share() const;

    /// Whether it holds a block that can be used.
    [[nodiscard]] explicit operator bool() const noexcept;
    /// Frees the block, unless a share() or a lock still needs the memory. Does nothing on an empty object.
    void close() noexcept;

    /// Bytes asked for.
    [[nodiscard]] std::size_t size() const;
    /// Bytes that are the block's: what the kernel gave, whole pages, or what a pool gave. copy_from() and lock() are
    /// bounded by size(), not by this.
    [[nodiscard]] std::size_t capacity() const;
    /// Whole, as it was given.
    [[nodiscard]] const std::string& name() const;
    /// The name of the device that it is on.
    [[nodiscard]] std::string_view device() const;
    /// The number that this process knows the block by, in C, C++ and Python: opaque, from 1 to 2^31 - 1.
    [[nodiscard]] std::uint32_t handle() const;
    /// Who really caches the block, whatever was asked for.
    [[nodiscard]] cache_mode granted_cache() const;

    /// The number that VideoCore knows the block by. Throws vcsm::not_supported where VideoCore does not know it, and
    /// for a block of a pool that does not start its allocation: there, take location().
    [[nodiscard]] std::uint32_t videocore_handle() const;
    /// The same and where the block starts in it: 0 but for blocks of a pool. Throws vcsm::not_supported where
    /// VideoCore does not know it.
    [[nodiscard]] vcsm::location location() const;
    /// Where VideoCore sees the block. Throws vcsm::not_supported where it does not.
    [[nodiscard]] std::uint64_t bus_address() const;
    /// The block's own dma-buf descriptor, valid for as long as this object; not the caller's to close. Throws
    /// vcsm::not_supported where there is none. On the simulated device it is a memfd, and the first call needs the
    /// block unlocked (vcsm::error with EBUSY).
    [[nodiscard]] int dmabuf() const;
    /// The same and where the block starts in it: 0 but for blocks of a pool, where dmabuf() and export_dmabuf() alone
    /// throw as videocore_handle() does. Throws as dmabuf().
    [[nodiscard]] dmabuf_place dmabuf_location() const;
    /// A new dma-buf descriptor, close-on-exec, that the caller owns: the memory lives until it is closed.
    [[nodiscard]] int export_dmabuf() const;

    /// Locks the whole block, seen as bytes or as objects of T (as many as fit wholly).
    template <class T = std::byte, class Access>
    [[nodiscard]] auto lock(Access kind) const {
        return lock<T>(kind, 0, static_cast<std::size_t>(-1));
    }
    /// Locks, and shows `count` objects of T from `offset` bytes on (static_cast<std::size_t>(-1): as many as there
    /// are). Throws std::invalid_argument for an offset beyond the end or not aligned for T, std::length_error for more
    /// than there is, vcsm::error where the device refuses (vcsm::out_of_memory where this process has no addresses
    /// left to see the block at); then nothing is locked.
    template <class T = std::byte, class Access>
    [[nodiscard]] auto lock(Access, std::size_t offset, std::size_t count) const {
        static_assert(std::is_trivially_copyable_v<T>, "VideoCore memory holds trivially copyable objects");
        constexpr detail::access_kind kind = detail::kind_of<Access>;
        using seen = std::conditional_t<kind == detail::access_kind::read, const T, T>;
        detail::held_part part = hold(kind, offset, count, sizeof(T), alignof(T));
        return vcsm::lock<seen>{std::move(part.lock), {reinterpret_cast<seen*>(part.first), part.count}};
    }

    /// Locks, copies all of `source` to `offset` bytes into the block, unlocks. Throws std::length_error for more than
    /// fits, std::invalid_argument for an offset beyond the end (in both cases nothing is copied), vcsm::error where
    /// the device refuses (the block is unlocked all the same).
    template <detail::contiguous_bytes Range>
    void copy_from(const Range& source, std::size_t offset = 0) {
        write_bytes(std::as_bytes(std::span{std::ranges::data(source), std::ranges::size(source)}), offset);
    }
    /// Locks, fills all of `target` with the bytes from `offset` on, unlocks. Throws as copy_from does.
    template <detail::contiguous_bytes Range>
    void copy_to(Range&& target, std::size_t offset = 0) const {
        read_bytes(std::as_writable_bytes(std::span{std::ranges::data(target), std::ranges::size(target)}), offset);
    }
    /// The whole block, copied: as many objects of T as fit wholly.
    template <class T = std::byte>
    [[nodiscard]] std::vector<T> to_vector() const {
        std::vector<T> values(size() / sizeof(T));
        copy_to(values);
        return values;
    }

    /// Another size; the content is kept up to the smaller of both, the rest is zero. The handle stays; VideoCore's
    /// handle and the bus address become others. Throws vcsm::error (EBUSY) for a locked block, and what the
    /// constructor throws; then the block is as it was.
    void resize(std::size_t size);

    /// Each has the other's block then.
    friend void swap(shared_memory& a, shared_memory& b) noexcept { a.reference_.swap(b.reference_); }

  private:
    friend class detail::pool_state;
    friend struct detail::inside;
    explicit shared_memory(std::shared_ptr<detail::reference> reference) noexcept;
    [[nodiscard]] detail::held_part hold(detail::access_kind kind, std::size_t offset, std::size_t count,
                                         std::size_t element, std::size_t alignment) const;
    void write_bytes(std::span<const std::byte> source, std::size_t offset);
    void read_bytes(std::span<std::byte> target, std::size_t offset) const;

    std::shared_ptr<detail::reference> reference_;
};

} // namespace vcsm
