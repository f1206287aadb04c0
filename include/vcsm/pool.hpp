// Blocks that cost nothing: carved from large allocations of the driver's, and used again.
#pragma once

#include <vcsm/shared_memory.hpp>
#include <vcsm/types.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace vcsm {

/// How a pool is made.
struct pool_options {
    /// Who shall cache its memory. Blocks of one allocation share its locks: a lock that is taken while a neighbour is
    /// locked sees what the neighbour's saw. So where VideoCore writes what the CPU reads, host-cached blocks are
    /// better whole_blocks.
    cache_mode cache = cache_mode::none;
    /// Of every block, as block_options::alignment says: a power of two. It is never below 64 bytes, a cache line.
    std::size_t alignment = 1;
    /// Bytes of each further allocation, made when the memory is used up. 0: as many as the pool began with.
    std::size_t grow_by = 0;
    /// The most bytes that the pool may have of the driver's.
    std::size_t limit = SIZE_MAX;
    /// Allocations without a block go back to the driver as long as those left have more bytes than this together.
    /// The default keeps all until trim(): drivers' allocations are slow, and on vcsm-cma each leaks a little of the
    /// kernel's memory.
    std::size_t keep = SIZE_MAX;
    /// Each block is a whole allocation of the driver's, for those who take a VideoCore handle and no offset (MMAL).
    /// Sizes are rounded up to one of eight between two powers of two. Nothing is allocated in advance, and `bytes` of
    /// the constructor is what the pool keeps of blocks that were destroyed, instead of `keep`.
    bool whole_blocks = false;
    /// Every block is zero. Otherwise one that is used again holds what was in it.
    bool zero = false;
};

/// What is in a pool, in bytes unless it says otherwise. used + free == capacity.
struct pool_statistics {
    std::size_t blocks = 0;       ///< that live, their number
    std::size_t used = 0;         ///< that they have
    std::size_t free = 0;         ///< that new ones can have
    std::size_t largest_free = 0; ///< piece of it
    /// The most that was ever used. Right where one thread uses the pool at a time; several may each be missed by up to
    /// 1 MiB.
    std::size_t peak = 0;
    std::size_t capacity = 0;    ///< that the pool has of the driver's
    std::size_t allocations = 0; ///< of the driver's, their number

    /// From 0, all that is free is one piece, to almost 1, it is crumbs.
    [[nodiscard]] double fragmentation() const noexcept {
        return free == 0 ? 0.0 : 1.0 - static_cast<double>(largest_free) / static_cast<double>(free);
    }
};

/// A pool of blocks. Allocating one, and destroying it, takes some tens of nanoseconds where a block of its own takes
/// several system calls.
///
///     vcsm::pool frames{64 << 20, "frames"};
///     vcsm::shared_memory frame = frames.allocate(1920 * 1080);
///     const auto [handle, offset] = frame.location();          // many blocks have one VideoCore handle
///
/// **A block goes back when its object is destroyed or closed. For a block of a pool that means "VideoCore is done with
/// it":** the next block may lie there at once, while VideoCore goes on reading what it was told to read. The memory of
/// a block that is still locked, or shared (shared_memory::share()), goes back when that ends.
///
/// The pool's memory lives until its last block does, also without the pool. All members may be called by several
/// threads at once, but for the moves and the destructor; blocks may be destroyed by any thread. After the service was
/// stopped, and in the child of a fork, the pool and its blocks say so when used (vcsm::no_block).
class VCSM_API pool {
  public:
    /// Empty: has no memory, and none can be had from it.
    pool() noexcept = default;
    /// A pool with an allocation of `bytes` of the driver's, whose blocks bear this name. Throws what the constructor
    /// of vcsm::shared_memory throws.
    explicit pool(std::size_t bytes, std::string_view name = {}, const pool_options& options = {});
    /// Takes the pool over; the other object is empty then.
    pool(pool&&) noexcept = default;
    /// The same; the pool that this object held lives on until its last block is gone.
    pool& operator=(pool&& other) noexcept;
    ~pool();

    /// A block of `size` bytes. What is in it is not promised, unless pool_options::zero. Its resize() keeps it in the
    /// pool, and where it must move for that, throws vcsm::error with EBUSY while anything of its allocation is locked.
    /// Throws std::invalid_argument (size 0; an alignment that is no power of two), std::length_error (more than the
    /// device can express), vcsm::out_of_memory and vcsm::error where the pool cannot grow: then it is as it was.
    [[nodiscard]] shared_memory allocate(std::size_t size, std::size_t alignment = 1);

    /// Gives all allocations without a block back to the driver, whatever pool_options::keep says; how many bytes.
    std::size_t trim();
    /// Gathers what threads keep at hand for their next blocks, so it is not for every block.
    [[nodiscard]] pool_statistics statistics() const;

    /// Whether it can be used.
    [[nodiscard]] explicit operator bool() const noexcept;
    /// What its blocks are called.
    [[nodiscard]] const std::string& name() const;
    /// As they were given.
    [[nodiscard]] const pool_options& options() const;

  private:
    friend class memory_resource;
    [[nodiscard]] detail::pool_state& state() const;

    std::shared_ptr<detail::pool_state> state_;
};

} // namespace vcsm
