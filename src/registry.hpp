// From handle to block, and from address to handle: one table for C, C++ and Python.
#pragma once

#include "address_index.hpp"
#include "block.hpp"

#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <utility>
#include <vector>

namespace vcsm::detail {

/// The references that are alive, by handle, and the addresses of their blocks. Safe to use from several threads.
///
/// An open-addressed table, of which one cache line is read in most look-ups. Look-ups of numbers take no lock: they
/// read, and read again if the version shows that something changed meanwhile. So that they may, no table is ever
/// freed, only replaced by one of twice the size.
class VCSM_API registry {
  public:
    registry();

    /// A new reference to `to`, under a handle that no living reference has and that was not given within the last 2^31
    /// allocations. Throws std::bad_alloc; then nothing is entered.
    [[nodiscard]] std::shared_ptr<reference> enter(std::shared_ptr<block> to);
    /// The same for a block that has a handle already; nothing if its last one was freed meanwhile.
    [[nodiscard]] std::shared_ptr<reference> enter_another(const std::shared_ptr<block>& to);
    /// Gives the reference of a pool's block, which has none yet, its handle. Throws std::bad_alloc.
    std::uint32_t name(const std::shared_ptr<reference>& unnamed);
    /// Calls `put()`, which puts the block there and does not throw, so that it is found where it is afterwards. The
    /// caller has the block to itself, but for look-ups. Throws std::bad_alloc; then nothing has changed.
    void replace(block& which, const allocation& into, std::size_t offset, std::size_t size,
                 const std::function<void()>& put);
    /// `address` is where all of `lies_in` was mapped: from now on the block is found there, if it still lies in it and
    /// has a handle. Throws std::bad_alloc; then nothing has changed.
    void show_mapped(block& which, const allocation& lies_in, std::byte* address);
    /// The living reference of that handle, or nothing.
    [[nodiscard]] std::shared_ptr<reference> find(std::uint32_t handle) const;
    /// Takes a reference out and ends it; nothing if somebody else did. `last` tells whether its block has no other.
    [[nodiscard]] std::shared_ptr<reference> remove(std::uint32_t handle, fate why, bool& last) noexcept;
    /// Takes all out and ends them. Needs no memory: stopping the service must not fail.
    [[nodiscard]] std::vector<std::shared_ptr<reference>> remove_all(fate why) noexcept;
    /// All, by handle.
    [[nodiscard]] std::vector<std::shared_ptr<reference>> all() const;
    /// The other living handles of the block that `handle` is of.
    [[nodiscard]] std::vector<std::uint32_t> others_of(std::uint32_t handle) const;
    [[nodiscard]] bool empty() const noexcept;

    /// Puts a block of `size` bytes in `another` allocation, and gives the old one. The caller holds the old one's
    /// mutex. Throws vcsm::no_block for a block without handles, std::bad_alloc; then nothing has changed.
    std::shared_ptr<allocation> move(block& which, std::shared_ptr<allocation> another, std::size_t size);

    /// The CPU's address of the handle's block; nullptr where the handle is none, or the block not mapped.
    [[nodiscard]] std::byte* address_of(std::uint32_t handle) const noexcept;
    /// The handle of the block that has that address in it; 0 where none has. Where a block has several handles, it is
    /// one of them.
    [[nodiscard]] std::uint32_t handle_at(const void* address) const noexcept;
    /// VideoCore's handle as it was given to the program before; 0 where the block must be asked.
    [[nodiscard]] std::uint32_t known_videocore_handle(std::uint32_t handle) const noexcept;
    /// To be found by known_videocore_handle(), until the block is resized. The caller holds its allocation's mutex.
    void remember_videocore_handle(std::uint32_t handle, std::uint32_t videocore_handle) noexcept;

    /// Calls `look(reference, allocation)` for the handle's reference while the allocation's mutex is held, so that the
    /// block can be neither freed nor moved meanwhile; false where the handle is none. Always inline: processors
    /// mispredict where the functions return to that a system call was made through, and a lock is hardly more than one
    /// such call.
    template <class Look>
    [[gnu::always_inline]] bool with_memory(std::uint32_t handle, Look&& look) const {
        for (;;) {
            std::uint64_t version = 0;
            const where found = where_is(handle, version);
            if (found.mutex == nullptr) {
                return false;
            }
            // What was found may be gone by now; its mutex is not (see lasting_mutex). Once that is held, what is still
            // entered stays: freeing and moving take the entry away first, and then wait for this mutex.
            const std::lock_guard guard{*found.mutex};
            if (version_.load(std::memory_order_acquire) == version || where_is(handle, version) == found) {
                look(*found.to, *found.to->shared()->locked_memory());
                return true;
            }
        }
    }

    /// Calls `look(reference)` for the handle's reference while nobody can remove it; false where there is none. `look`
    /// must be short, and must not come back here.
    template <class Look>
    bool with(std::uint32_t handle, Look&& look) const {
        const std::shared_lock guard{mutex_};
        const table& in = current();
        const std::size_t at = place_in(in, handle);
        if (at == in.size) {
            return false;
        }
        look(*in.owners[at]);
        return true;
    }

    /// For a fork: nobody changes the table between lock_for_fork() and one of the others.
    void lock_for_fork() { mutex_.lock(); }
    void unlock_in_parent() { mutex_.unlock(); }
    /// Leaves the table empty.
    void forget_in_child() noexcept;

  private:
    /// What look-ups read. Written under the mutex alone.
    struct slot {
        std::atomic<std::uint32_t> handle{0}; // 0: empty
        std::atomic<std::uint32_t> videocore_handle{0};
        std::atomic<reference*> to{nullptr};
        std::atomic<short_mutex*> mutex{nullptr}; // of the allocation
        std::atomic<std::byte*> address{nullptr};
    };
    struct table {
        explicit table(std::size_t places) : slots(std::make_unique<slot[]>(places)), owners(places), size{places} {}
        std::unique_ptr<slot[]> slots;
        std::vector<std::shared_ptr<reference>> owners; // at the same places; touched under the mutex alone
        std::size_t size;                               // a power of two, at most half full
    };
    struct where {
        reference* to = nullptr;
        short_mutex* mutex = nullptr;
        friend bool operator==(const where&, const where&) = default;
    };
    /// What the address index has of a block.
    struct placed {
        const std::byte* first;
        std::size_t bytes;
    };

    /// The mutex, and an odd version, for the time of a change.
    class VCSM_API change {
      public:
        explicit change(registry& changed);
        change(const change&) = delete;
        change& operator=(const change&) = delete;
        ~change();

      private:
        registry& changed_;
        const std::unique_lock<std::shared_mutex> guard_;
    };

    /// The result of read() with nothing changed in between. read() loads everything with memory_order_acquire.
    /// `version` becomes what it was read in; an odd number, which no version is that was looked at, if that took too
    /// long.
    template <class Read>
    auto unchanged(Read&& read, std::uint64_t& version) const noexcept {
        constexpr int patience = 100;
        for (int tried = 0; tried < patience; ++tried) {
            version = version_.load(std::memory_order_acquire);
            if ((version & 1U) == 0) {
                const auto result = read();
                if (version_.load(std::memory_order_relaxed) == version) {
                    return result;
                }
            }
        }
        version = ~std::uint64_t{0};
        const std::shared_lock guard{mutex_};
        return read();
    }
    template <class Read>
    auto unchanged(Read&& read) const noexcept {
        std::uint64_t version = 0;
        return unchanged(std::forward<Read>(read), version);
    }

    [[nodiscard]] static std::size_t home_of(std::uint32_t handle, std::size_t size) noexcept {
        // Fibonacci hashing: handles come in sequence, and long-lived ones must not crowd the way of those that wrap
        // around.
        constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
        const auto bits = static_cast<unsigned>(std::countr_zero(size));
        return static_cast<std::size_t>((handle * golden) >> (64U - bits));
    }
    /// Its place, or the table's size.
    [[nodiscard]] static std::size_t place_in(const table& in, std::uint32_t handle) noexcept {
        if (handle == 0) {
            return in.size;
        }
        for (std::size_t at = home_of(handle, in.size), tried = 0; tried < in.size;
             at = (at + 1) & (in.size - 1), ++tried) {
            const std::uint32_t there = in.slots[at].handle.load(std::memory_order_acquire);
            if (there == handle) {
                return at;
            }
            if (there == 0) {
                return in.size;
            }
        }
        return in.size;
    }
    [[nodiscard]] where where_is(std::uint32_t handle, std::uint64_t& version) const noexcept {
        return unchanged(
            [&]() -> where {
                const table& in = *seen_.load(std::memory_order_acquire);
                const std::size_t at = place_in(in, handle);
                if (at == in.size) {
                    return {};
                }
                return {in.slots[at].to.load(std::memory_order_acquire),
                        in.slots[at].mutex.load(std::memory_order_acquire)};
            },
            version);
    }
    [[nodiscard]] table& current() const noexcept { return *tables_.back(); }
    [[nodiscard]] std::shared_ptr<reference> enter_locked(std::shared_ptr<reference> made);
    [[nodiscard]] static placed place_in_memory(const allocation& memory, std::byte* address, std::size_t offset,
                                                std::size_t size);
    /// Of all that it lies in; null unless it is found by address.
    [[nodiscard]] static std::byte* known_address(const block& which) noexcept;
    [[nodiscard]] static placed place_of(const block& which);
    void enter_place(placed where_to, std::uint32_t handle);
    void leave_place(placed old) noexcept;
    void show_moved(const block& which) noexcept;
    template <class Each>
    void for_handles(const block& which, Each&& each);
    static void show_address(slot& at, const block& which, std::byte* address) noexcept;
    static void show(slot& at, const reference& shown);
    static void move_slot(table& from, std::size_t from_at, table& to, std::size_t to_at) noexcept;
    void grow();

    mutable std::shared_mutex mutex_;
    std::atomic<std::uint64_t> version_{0}; // odd while something changes
    std::atomic<const table*> seen_;
    std::vector<std::unique_ptr<table>> tables_; // the last is current, the others may still be looked at
    address_index addresses_;
    std::size_t live_ = 0;
    std::vector<std::shared_ptr<reference>> room_for_all_; // empty; for remove_all()
    std::uint32_t last_ = 0;
};

} // namespace vcsm::detail
