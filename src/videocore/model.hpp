// The VideoCore model: a VideoCore in software, with what a program can get wrong on a real one.
//
// It has memory of its own size, in which blocks take pages and leave holes; handles, bus addresses, names and
// references of its own; and host-cached blocks with two copies, between which only locking and unlocking move data. It
// knows nothing of devices or processes: the simulated device and vcsm-sim are two doors to it.
#pragma once

#include "videocore/faults.hpp"
#include "videocore/heap.hpp"
#include "videocore/storage.hpp"

#include <vcsm/types.hpp>
#include <vcsm/videocore.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vcsm::videocore {

/// How a model is made.
struct model_options {
    /// Bytes of VideoCore's memory; rounded up to pages.
    std::size_t memory = std::size_t{128} << 20;
    /// Bus address of its first byte. On a Raspberry Pi 2 to 4, 0xc0000000 is the alias that bypasses VideoCore's
    /// cache.
    std::uint64_t bus_base = 0xc0000000;
    /// All blocks in one memfd, or each in its own: see storage.hpp.
    bool one_arena = true;
    /// A list of faults.
    std::string faults;
};

/// Bytes from "134217728", "128M", "2G" or "64K" (binary). Throws std::invalid_argument, which names `what`.
[[nodiscard]] std::size_t parse_bytes(std::string_view text, std::string_view what);

/// Bytes of the memory: all, free, and the largest piece that a block could have.
struct room {
    std::size_t total = 0;
    std::size_t free = 0;
    std::size_t largest = 0;
};

class model;

/// Which addresses are free. Shared by a model and its blocks, which may outlive it; they do not keep the model itself,
/// for it keeps them.
struct address_space {
    address_space(std::size_t size, std::size_t page) : pieces{size, page} {}

    std::mutex mutex;
    heap pieces;
};

/// One block. Its memory is free again when the last shared_ptr to it is gone; the model keeps one for as long as the
/// program has not freed it or VideoCore holds it, and whoever maps it keeps another.
class block {
  public:
    struct description {
        std::size_t bytes = 0;
        std::string name;
        cache_mode cache = cache_mode::none;
        std::size_t alignment = 1; ///< of the bus address, a power of two
    };

    /// The model makes blocks.
    block(model& home, description what, std::size_t offset, std::uint64_t bus_address, std::unique_ptr<storage> bytes);
    /// Another name of the memory of `source`, which it keeps.
    block(model& home, description what, std::shared_ptr<block> source);
    block(const block&) = delete;
    block& operator=(const block&) = delete;
    ~block();

    /// 0: VideoCore does not know it.
    [[nodiscard]] std::uint32_t videocore_handle() const noexcept { return handle_; }
    /// The model that made it; valid for as long as that is there.
    [[nodiscard]] model& home() const noexcept { return *home_; }
    [[nodiscard]] std::uint64_t bus_address() const noexcept { return bus_address_; }
    [[nodiscard]] const description& about() const noexcept { return about_; }
    /// In bytes: whole pages.
    [[nodiscard]] std::size_t capacity() const noexcept { return storage_->videocore().size(); }
    [[nodiscard]] storage& bytes() const noexcept { return *storage_; }

    /// The CPU's accesses begin: it forgets what it has cached where it is going to read, and its clean lines in any
    /// case. Nothing for a block that it does not cache.
    void begin_access(bool reads);
    /// They end: where it may have written, dirty lines are written back; gives their number.
    std::size_t end_access(bool wrote);
    /// The lines of a range alone: writes back the dirty ones if `clean`, then forgets them all if `forget`.
    void maintain(std::size_t offset, std::size_t bytes, bool clean, bool forget);
    /// Lines that the CPU has written and that VideoCore does not see.
    [[nodiscard]] std::size_t unsynced_lines() const;

    /// The number of locks on it, for the snapshot alone.
    std::atomic<unsigned>& locks() noexcept { return locks_; }

    /// A descriptor of VideoCore's bytes, the block's own. Throws std::system_error; EBUSY where the block is locked
    /// and would have to move, for what the CPU writes meanwhile would be lost.
    [[nodiscard]] int videocore_memfd();

  private:
    friend class model;

    model* home_;
    std::shared_ptr<address_space> space_;
    description about_;
    std::size_t offset_;
    std::uint64_t bus_address_;
    std::uint32_t handle_ = 0;
    std::shared_ptr<block> source_; // whose memory this is, or nothing: its own
    std::shared_ptr<storage> storage_;
    mutable std::mutex own_mutex_;
    std::mutex& mutex_; // of the bytes, where they move between copies or VideoCore touches them
    std::atomic<unsigned> locks_{0};
    unsigned held_ = 0;  // VideoCore's own references; the model's mutex
    bool freed_ = false; // by the program; the model's mutex
};

/// Safe to call from several threads.
class model {
  public:
    /// Throws std::invalid_argument for options that make no sense, std::system_error where there is no memory for it.
    [[nodiscard]] static std::shared_ptr<model> make(const model_options& options);
    /// VCSM_SIM_MEMORY and VCSM_SIM_FAULTS, which a set-user-ID program does not see. Throws std::invalid_argument.
    [[nodiscard]] static model_options options_from_environment();

    explicit model(const model_options& options);

    /// A new block, zero. Throws std::system_error: ENOMEM where no piece holds it.
    [[nodiscard]] std::shared_ptr<block> allocate(const block::description& wanted);
    /// A new block whose VideoCore's bytes are those of a memfd that make_memfd() made, in this process or another; the
    /// descriptor stays the caller's. Throws std::system_error: EINVAL where it is something else.
    [[nodiscard]] std::shared_ptr<block> import(int memfd, const std::string& name, cache_mode cache);
    /// A new block that VideoCore does not know: it has an address and no handle. Throws as allocate() does.
    [[nodiscard]] std::shared_ptr<block> allocate_unknown(const block::description& wanted);
    /// The same of memory that somebody else made: `memfd`, sealed against shrinking, shown from its start.
    [[nodiscard]] std::shared_ptr<block> adopt(kernel::unique_fd memfd, const block::description& what);
    /// A new block, zero and known to VideoCore, whose bytes lie in `memfd` from `position` on, or, without one, from
    /// where they lie in VideoCore's memory. The range is punched out when the block is gone.
    [[nodiscard]] std::shared_ptr<block> allocate_in(kernel::unique_fd memfd, std::optional<std::size_t> position,
                                                     const block::description& wanted);
    /// Makes memory known to VideoCore, once more if it is already: a handle of its own, the source's address. The CPU
    /// caches it from now on if `cache` says so. Throws std::system_error.
    [[nodiscard]] std::shared_ptr<block> introduce(const std::shared_ptr<block>& source, const std::string& name,
                                                   cache_mode cache);
    /// The program has freed it: VideoCore's handle is dead unless VideoCore holds the block.
    void free(const std::shared_ptr<block>& which) noexcept;

    /// The block that VideoCore knows by `handle`, or nothing.
    [[nodiscard]] std::shared_ptr<block> find(std::uint32_t handle) const;

    /// VideoCore's side. Throw std::system_error: ENOENT for a handle that VideoCore does not know, EINVAL for bytes
    /// beyond the block, and what the faults say for `read`.
    void read(std::uint32_t handle, std::size_t offset, std::span<std::byte> into);
    void write(std::uint32_t handle, std::size_t offset, std::span<const std::byte> from);
    /// VideoCore keeps the block, whatever the program does, until as many calls of release() as of hold().
    void hold(std::uint32_t handle);
    void release(std::uint32_t handle);

    /// All blocks that have a handle, by handle.
    [[nodiscard]] std::vector<block_state> list() const;
    [[nodiscard]] vcsm::videocore::room room() const;
    [[nodiscard]] faults& on_demand() noexcept { return faults_; }

    /// For the child of a fork.
    void abandon() noexcept;

  private:
    friend class block;

    [[nodiscard]] std::shared_ptr<block> find_or_throw(std::uint32_t handle, const char* what) const;
    [[nodiscard]] std::shared_ptr<block> enter(std::shared_ptr<block> made);
    [[nodiscard]] std::shared_ptr<block>
    make_block(const block::description& wanted,
               const std::function<std::unique_ptr<storage>(std::size_t offset, std::size_t bytes)>& make_storage);
    [[nodiscard]] std::unique_ptr<storage> own_storage(const block::description& wanted, std::size_t offset,
                                                       std::size_t bytes);
    [[nodiscard]] std::size_t take(std::size_t bytes, std::size_t alignment);
    void give_back(std::size_t offset, std::size_t bytes) noexcept;
    /// Takes the block out of the table if nobody needs its handle any more; with the mutex held, which whoever lets go
    /// of the result must not hold.
    [[nodiscard]] std::shared_ptr<block> taken_out_if_unused(std::uint32_t handle) noexcept;

    model_options options_;
    faults faults_;
    std::shared_ptr<arena> arena_; // empty: each block has its own memfd
    mutable std::mutex mutex_;
    std::shared_ptr<address_space> space_;
    std::map<std::uint32_t, std::shared_ptr<block>> blocks_;
    std::uint32_t last_handle_ = 0;
};

} // namespace vcsm::videocore
