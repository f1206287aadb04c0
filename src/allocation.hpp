// One allocation of a device's, with the counting of its locks. Several blocks may lie in one (a pool's); the count
// belongs to the allocation, so that they cannot harm each other.
#pragma once

#include "device/device.hpp"
#include "guard.hpp"
#include "lasting_mutex.hpp"
#include "spare_memory.hpp"

#include <vcsm/lock.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

namespace vcsm::detail {

/// Why an allocation, or the handle to one, is of no use any more.
enum class fate : unsigned char { alive, freed, stopped, forked };

/// Throws vcsm::no_block with what became of `block`. `owner` is the process that it belongs to, for fate::forked.
[[noreturn]] VCSM_API void throw_no_block(fate what, const std::string& block, pid_t owner);

/// Safe to use from several threads. Whoever looks at its memory keeps a shared_ptr to it: the mapping goes with the
/// last one.
class VCSM_API allocation {
  public:
    /// `name` is for messages.
    allocation(std::shared_ptr<device::device> from, std::unique_ptr<device::memory> memory, std::string name,
               std::size_t alignment = 1);
    /// What is left of another that is about to be released: its name and what became of it, no memory, no device.
    allocation(const allocation& gone, fate why);
    allocation(const allocation&) = delete;
    allocation& operator=(const allocation&) = delete;
    ~allocation();

    /// The CPU's address of it; null for one that was not mapped yet, and for what is left of one that was released.
    [[nodiscard]] std::byte* mapped() const noexcept { return data_.load(std::memory_order_acquire); }
    /// The same, mapped if it was not. `tell(address)` makes the address known before any other thread has it. Throws
    /// vcsm::no_block for one that is gone, vcsm::error, and what `tell` throws; then it counts as not mapped.
    template <class Tell>
    std::byte* map(Tell&& tell) {
        if (std::byte* const known = mapped()) {
            return known;
        }
        const std::lock_guard alone{mutex()};
        return map_locked(std::forward<Tell>(tell));
    }
    /// For those to whom no block was made yet that could be looked up by address.
    std::byte* map() {
        return map([](std::byte*) {});
    }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] cache_mode granted_cache() const noexcept { return granted_; }
    /// As it was asked for, in bytes.
    [[nodiscard]] std::size_t alignment() const noexcept { return alignment_; }
    /// Throws vcsm::no_block for what is left of one that was released.
    [[nodiscard]] device::device& from() const;
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] unsigned locks() const;
    /// Whether begin() and end() return at once, without a system call.
    [[nodiscard]] bool locks_at_once() const noexcept { return locks_at_once_; }

    /// Begins a lock. Throws vcsm::no_block, vcsm::error; then nothing is locked.
    void begin(access_kind kind);
    /// Ends one. Throws vcsm::error where VideoCore may not see what was written; it has ended all the same.
    void end(access_kind kind);

    /// Calls `ask(memory)` while nobody else does. Throws vcsm::no_block for an allocation that is gone.
    template <class Ask>
    auto with_memory(Ask&& ask) {
        throw_unless_alive();
        const std::lock_guard alone{mutex()};
        throw_unless_alive();
        const guard_open open{guard_.get()};
        return ask(*memory_);
    }

    /// The parts of the above, for those who hold mutex() over more than one.
    [[nodiscard]] short_mutex& mutex() const noexcept { return mutex_.get(); }
    template <class Tell>
    std::byte* map_locked(Tell&& tell) {
        if (std::byte* const known = mapped()) {
            return known;
        }
        throw_unless_alive();
        std::byte* const address = map_memory_locked();
        tell(address);
        data_.store(address, std::memory_order_release);
        return address;
    }
    void begin_locked(access_kind kind) {
        throw_unless_alive();
        if (guard_) {
            begin_guarded(kind);
            return;
        }
        begin_access_locked(kind);
        ++locks_;
    }
    /// Without `clean`, what was written since the last clean is left in the CPU's cache.
    void end_locked(access_kind kind, bool clean = true) {
        --locks_;
        if (what_became() != fate::alive) {
            unmap_if_unused();
            return;
        }
        if (guard_) {
            end_guarded(kind, clean);
            return;
        }
        end_access_locked(kind, clean);
    }
    [[nodiscard]] device::memory& locked_memory() const noexcept { return *memory_; }
    /// Null unless VCSM_GUARD=1.
    [[nodiscard]] detail::guard* locked_guard() const noexcept { return guard_.get(); }

    /// Moves `bytes` bytes from `offset` on to the start of `another`, and ends this one: `check(memory)` may refuse by
    /// throwing, `put_in_place()` makes the world look at the other. Nobody can lock or ask this one meanwhile. Throws
    /// vcsm::error: EBUSY for a locked one, what the locks throw, and what the two functions throw; then this one is as
    /// it was, and `another` is the caller's to release.
    template <class Check, class Put>
    void move_to(allocation& another, std::size_t offset, std::size_t bytes, Check&& check, Put&& put_in_place) {
        const std::lock_guard alone{mutex()};
        throw_unless_alive();
        throw_if_locked();
        check(*memory_);
        copy_to(another, offset, bytes);
        put_in_place();
        fate_.store(fate::freed, std::memory_order_release);
        let_go_locked(fate::freed);
    }

    /// From now on, what is freed unlocked goes to `spares`, for the next allocation of that kind; unless
    /// never_recycle() was called. The caller has the allocation to itself.
    void recycle(spare_memory& spares, const spare_kind& kind) noexcept {
        spares_ = &spares;
        kind_ = kind;
    }
    [[nodiscard]] bool recycles() const noexcept { return kind_.bytes > 0; }
    /// Somebody has a descriptor of it, who keeps the memory as it is. The caller holds mutex().
    void never_recycle() noexcept { spares_ = nullptr; }

    /// VideoCore's handle and the descriptors go; the mapping stays until the object's end.
    void release(fate why) noexcept;
    /// The same, and the mapping goes as soon as no lock and no pin needs it, though blocks keep this object.
    void release_and_unmap(fate why) noexcept;
    /// Between these two the memory stays mapped: somebody looks at it without a lock.
    void pin() noexcept;
    void unpin() noexcept;
    /// In the child of a fork. Touches no mutex: another thread of the parent may have held it.
    void abandon() noexcept;
    [[nodiscard]] fate what_became() const noexcept { return fate_.load(std::memory_order_acquire); }

  private:
    void throw_unless_alive() const {
        if (what_became() != fate::alive) {
            throw_what_became();
        }
    }
    [[noreturn]] void throw_what_became() const;
    void throw_if_locked() const;
    void begin_guarded(access_kind kind);
    void end_guarded(access_kind kind, bool clean);
    /// The device's part of the first lock, and of the end of one. In place, so that the system call that they come to
    /// returns through few functions.
    void begin_access_locked(access_kind kind) {
        if (locks_ > 0) {
            return;
        }
        try {
            memory_->begin_access(kind == access_kind::overwrite ? device::direction::write
                                                                 : device::direction::read_write);
        } catch (...) {
            rethrow("lock");
        }
    }
    void end_access_locked(access_kind kind, bool clean) {
        const bool last = locks_ == 0;
        const bool writes = clean && kind != access_kind::read;
        if (!last && !writes) {
            return;
        }
        try {
            memory_->end_access(!writes ? device::direction::read
                                : last  ? device::direction::read_write
                                        : device::direction::write);
        } catch (...) {
            rethrow("unlock");
        }
    }
    [[nodiscard]] std::byte* map_memory_locked();
    void copy_to(allocation& another, std::size_t offset, std::size_t bytes);
    void let_go_locked(fate why) noexcept;
    void unmap_if_unused() noexcept;
    [[noreturn]] void rethrow(const char* operation) const;

    std::shared_ptr<device::device> device_;
    std::unique_ptr<device::memory> memory_;
    std::string name_;
    std::atomic<std::byte*> data_;
    std::size_t capacity_;
    cache_mode granted_;
    std::size_t alignment_;
    pid_t owner_;
    bool locks_at_once_ = false;
    std::atomic<fate> fate_{fate::alive};
    lasting_mutex mutex_;
    unsigned locks_ = 0;
    unsigned pins_ = 0;
    bool unmaps_ = false; // when locks_ and pins_ are 0
    spare_memory* spares_ = nullptr;
    spare_kind kind_;                      // without bytes: it does not recycle
    std::unique_ptr<detail::guard> guard_; // ends before the memory, which may be given to others
};

} // namespace vcsm::detail
