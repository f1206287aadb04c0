// What a pool is made of. It lives until the pool and all its blocks are gone.
//
// Two levels: behind a mutex, the ranges of all allocations; before it, shards, in each of which a thread finds the
// blocks that it destroyed last, by size, ready to be used again. Threads have different shards as long as there are
// enough. No lock of a shard is held while the mutex is taken, and neither while the service is called.
#pragma once

#include "pool_block.hpp"
#include "pool_chunk.hpp"
#include "pool_ranges.hpp"
#include "service.hpp"
#include "thread_number.hpp"

#include <vcsm/pool.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace vcsm::detail {

/// The size classes of what threads keep at hand: each granule up to 16, then eight between two powers of two.
struct pool_class {
    unsigned number = 0;
    std::size_t bytes = 0; ///< what a block of this class has
};
inline constexpr std::size_t largest_class_bytes = std::size_t{2} << 20;
inline constexpr unsigned pool_classes = 105;
/// Larger blocks have no more than they need, and are kept only where that happens to be a class.
inline constexpr std::size_t largest_rounded_bytes = std::size_t{64} << 10;
/// std::has_single_bit() counts all bits where the processor need not know how to.
[[nodiscard]] constexpr bool is_power_of_two(std::size_t number) noexcept {
    return number != 0 && (number & (number - 1)) == 0;
}

/// Of `units` > 0; `bytes` is in the same units.
[[nodiscard]] pool_class class_of_units(std::size_t units) noexcept;
/// The class of the smallest blocks that have `bytes`, at most largest_class_bytes.
[[nodiscard]] inline pool_class class_of(std::size_t bytes) noexcept {
    const pool_class found = class_of_units((bytes + pool_granule - 1) / pool_granule);
    return {found.number, found.bytes * pool_granule};
}

class pool_state final : public memory_owner, public std::enable_shared_from_this<pool_state> {
  public:
    /// Where it is what the child of a fork was left with, it is never destroyed.
    [[nodiscard]] static std::shared_ptr<pool_state> make(std::size_t bytes, std::string_view name,
                                                          const pool_options& options);
    pool_state(std::size_t bytes, std::string_view name, const pool_options& options);
    ~pool_state() override;

    /// The first allocation, once it is owned by a shared_ptr.
    void begin();
    /// The pool's object is gone: nothing is kept for a next user any more.
    void close() noexcept;

    [[nodiscard]] shared_memory allocate(std::size_t size, std::size_t alignment) {
        return shared_memory{allocate_block(size, alignment)};
    }
    [[nodiscard]] std::shared_ptr<reference> allocate_block(std::size_t size, std::size_t alignment);
    std::size_t trim();
    [[nodiscard]] pool_statistics statistics();
    [[nodiscard]] bool usable() const noexcept { return mode_.load(std::memory_order_relaxed) == mode::open; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const pool_options& options() const noexcept { return options_; }

    // memory_owner
    void adopt(const std::shared_ptr<allocation>& made) override;
    void stop(fate why) noexcept override;
    void abandon() noexcept override;
    [[nodiscard]] std::shared_ptr<block> block_showing(const device::file_identity& identity) override;

    /// Keeps a block whose user is done with it for the next one, or lets it be destroyed.
    void recycle(pool_block& which, std::shared_ptr<reference>&& ending) noexcept;
    /// A block is destroyed.
    void give_back(pool_block& which) noexcept;
    /// See vcsm::shared_memory::resize().
    void resize(pool_block& which, std::size_t size);
    void unpin(pool_chunk& chunk) noexcept;

  private:
    enum class mode : unsigned char { open, closed, stopped, forked };

    // What one thread keeps at hand. Its lock is held for some nanoseconds, and the fast ways only try it.
    struct alignas(128) shard {
        std::atomic<bool> taken{false};
        std::int64_t blocks = 0; // that live, taken here and given back anywhere; below 0 where more were given back
        std::int64_t used = 0;   // bytes of them, since they were last added to used_
        std::int64_t peak = 0;
        std::array<pool_block*, pool_classes> kept{};
        std::array<std::uint8_t, pool_classes> number{};

        [[nodiscard]] bool try_lock() noexcept {
            return !taken.load(std::memory_order_relaxed) && !taken.exchange(true, std::memory_order_acquire);
        }
        void lock() noexcept;
        void unlock() noexcept { taken.store(false, std::memory_order_release); }
    };
    static constexpr std::size_t shards = 16;
    // How far a shard's count of bytes may be from what it has told.
    static constexpr std::int64_t most_untold = std::int64_t{64} << 10;

    [[nodiscard]] shard* try_own_shard() noexcept {
        const std::size_t own = this_thread_number() % shards;
        return shards_[own].try_lock() ? &shards_[own] : try_other_shard(own);
    }
    [[nodiscard]] shard* try_other_shard(std::size_t than) noexcept;
    void count(shard& in, std::int64_t blocks, std::int64_t bytes) noexcept {
        in.blocks += blocks;
        in.used += bytes;
        in.peak = std::max(in.peak, used_.load(std::memory_order_relaxed) + in.used);
        if (in.used > most_untold || in.used < -most_untold) {
            used_.fetch_add(in.used, std::memory_order_relaxed);
            in.used = 0;
        }
    }
    void count(std::int64_t blocks, std::int64_t bytes) noexcept;
    void set_mode(mode now) noexcept;
    void throw_unless_open() const {
        if (!usable()) {
            throw_unusable();
        }
    }
    [[noreturn]] void throw_unusable() const;
    void drain() noexcept;

    [[nodiscard]] std::shared_ptr<reference> take_kept(std::size_t size, std::size_t alignment) noexcept;
    [[nodiscard]] pool_range* take_range(std::size_t size, std::size_t alignment);
    [[nodiscard]] pool_range* try_take(std::size_t bytes, std::size_t alignment);
    [[nodiscard]] pool_range* try_take_whole(std::size_t bytes, std::size_t alignment);
    void refuse_absurd(std::size_t bytes) const;
    /// One more allocation, of `step` bytes or, where there is no room for that or it is less, of `bytes`; empty ones
    /// go where it needs their room. Throws as service::allocate(), and out_of_memory at the pool's limit.
    void grow(std::size_t bytes, std::size_t alignment, std::size_t step);
    void grow_at_once(std::size_t bytes, std::size_t alignment, std::size_t step);
    [[noreturn]] void throw_full(std::size_t bytes);
    void return_range(pool_range* range) noexcept;
    [[nodiscard]] bool keeps_too_much() const noexcept;
    std::size_t release_empty(std::size_t keep) noexcept;
    void zero(reference& fresh);
    [[nodiscard]] std::size_t granted(std::size_t size) const noexcept;

    const std::string name_;
    const pool_options options_;
    const std::size_t first_bytes_;
    const std::size_t keep_;
    const pid_t owner_;
    std::atomic<mode> mode_{mode::open}; // changed while all shards and the mutex are held
    std::atomic<std::int64_t> used_{0};  // and what the shards have not added yet
    std::array<shard, shards> shards_;

    std::mutex mutex_; // of all below
    pool_ranges ranges_;
    std::map<std::size_t, std::vector<pool_chunk*>> whole_; // those without a block, by size; of pools of whole blocks
    std::vector<std::unique_ptr<pool_chunk>> chunks_;       // changed while the service is undisturbed alone
    std::size_t capacity_ = 0;
    std::size_t empty_bytes_ = 0; // of chunks without a block
    std::size_t growing_ = 0;     // bytes that are being allocated
};

} // namespace vcsm::detail
