// Where the bytes of a block lie.
//
// In a process's own simulated VideoCore, all blocks share one memfd, the arena, so that ten thousand of them need one
// descriptor; a block that is exported moves to a memfd of its own, at the same address. Under vcsm-sim every block has
// its own from the start, for another process maps it.
#pragma once

#include "kernel/syscalls.hpp"
#include "videocore/cache_lines.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace vcsm::videocore {

/// The bytes of one block. Freed with the object.
class storage {
  public:
    storage() = default;
    storage(const storage&) = delete;
    storage& operator=(const storage&) = delete;
    virtual ~storage() = default;

    /// VideoCore's bytes, zero at first.
    [[nodiscard]] std::span<std::byte> videocore() const noexcept { return bytes_.videocore; }
    /// What the CPU maps: its own copy where it caches the block, else VideoCore's bytes.
    [[nodiscard]] std::span<std::byte> cpu() const noexcept { return cached_ ? bytes_.cpu : bytes_.videocore; }
    [[nodiscard]] bool cached() const noexcept { return cached_; }
    /// VideoCore's own accesses. Not through the program's mapping where there is another way: the program may not be
    /// allowed to access it at that moment (VCSM_GUARD). Throw std::system_error.
    virtual void videocore_reads(std::size_t offset, std::span<std::byte> into);
    virtual void videocore_writes(std::size_t offset, std::span<const std::byte> from);
    /// All three copies; for cached storage alone.
    [[nodiscard]] const copies& all() const noexcept { return bytes_; }

    /// A memfd that holds VideoCore's bytes and nothing else; the storage keeps it. Throws std::system_error.
    [[nodiscard]] virtual int videocore_memfd() = 0;
    /// The memfd that holds the CPU's bytes, at offset 0, or -1.
    [[nodiscard]] virtual int cpu_memfd() const noexcept = 0;
    /// Whether videocore_memfd() would give what is there already.
    [[nodiscard]] virtual bool exported() const noexcept = 0;
    /// The CPU caches it from now on: VideoCore's bytes and the CPU's, the same now, go separate ways. Nothing if it
    /// does already. Throws std::system_error, ENOTSUP where the storage cannot.
    virtual void begin_caching();
    /// Closes the descriptors, keeps the bytes.
    virtual void close_descriptors() noexcept = 0;

  protected:
    copies bytes_{};
    bool cached_ = false;
};

/// A memfd of `bytes`, sealed against growing and shrinking (a program's ftruncate would else kill whoever maps it),
/// close-on-exec, whose name shows what it is. Throws std::system_error.
[[nodiscard]] kernel::unique_fd make_memfd(const std::string& name, std::size_t bytes);
/// Whether make_memfd() made it, in this process or another; its size in bytes, or 0.
[[nodiscard]] std::size_t bytes_of_memfd(int descriptor) noexcept;

/// Bytes by offset.
using ranges = std::map<std::size_t, std::size_t>;

/// One memfd for all blocks of a process: VideoCore's memory, then the CPU's copies, then the baselines, each region as
/// large as VideoCore's memory and sparse. The two latter are mapped with the first host-cached block.
class arena : public std::enable_shared_from_this<arena> {
  public:
    /// Throws std::system_error.
    explicit arena(std::size_t bytes);

    /// Storage for the range that the heap gave. Throws std::system_error.
    [[nodiscard]] std::unique_ptr<storage> at(std::size_t offset, std::size_t bytes, bool cached);
    /// The same range shown as `memfd`, whose bytes are VideoCore's; takes the descriptor. Throws std::system_error.
    [[nodiscard]] std::unique_ptr<storage> show(kernel::unique_fd memfd, std::size_t offset, std::size_t bytes,
                                                bool cached);

    [[nodiscard]] std::size_t size() const noexcept { return bytes_; }
    /// For the child of a fork.
    void abandon() noexcept;

  private:
    friend class arena_storage;

    void map_cpu_regions();
    /// Gives the pages of a range of region 0 (VideoCore's), 1 (the CPU's) or 2 (the baseline's) back to the system,
    /// which makes them zero. False where the system refuses.
    [[nodiscard]] bool give_pages_back(std::size_t region, std::size_t offset, std::size_t bytes) noexcept;
    /// Makes them zero in any case. The arena's own pages must be mapped there.
    void wipe(std::size_t region, std::size_t offset, std::size_t bytes) noexcept;
    /// Puts `memfd`'s pages at the range's address, or throws and leaves the arena's own; or the arena's own again.
    void place(int memfd, std::size_t offset, std::size_t bytes);
    [[nodiscard]] bool place_own(std::size_t offset, std::size_t bytes) noexcept;
    [[nodiscard]] bool map_over(int memfd, std::size_t offset, std::size_t bytes, off_t from) noexcept;
    /// Sees to it that the arena's own pages, zero, lie where an earlier block could not leave them. Throws
    /// std::system_error.
    void reclaim(std::size_t offset, std::size_t bytes);
    void reclaim_later(ranges::node_type&& range) noexcept;

    std::size_t bytes_;
    kernel::unique_fd memfd_;
    kernel::mapping videocore_;
    ranges strange_;   // where pages of a freed block's own memfd still lie
    std::mutex mutex_; // of the two mappings below and of the ranges above
    kernel::mapping cpu_;
    kernel::mapping baseline_;
};

/// Storage in memfds of its own. Throws std::system_error.
[[nodiscard]] std::unique_ptr<storage> separate_storage(const std::string& name, std::size_t bytes, bool cached);
/// Storage in a memfd that somebody else made, `bytes` from `offset` on; with `punch` they are given back to the system
/// at the end. Throws std::system_error.
[[nodiscard]] std::unique_ptr<storage> storage_in(kernel::unique_fd memfd, std::size_t offset, std::size_t bytes,
                                                  bool cached, bool punch);

} // namespace vcsm::videocore
