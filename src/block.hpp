// A block, and the handles to it.
#pragma once

#include "allocation.hpp"

#include <vcsm/service.hpp>
#include <vcsm/shared_memory.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace vcsm::detail {

class reference;
class registry;

/// Where a block lies at one moment. Holding it keeps the memory mapped.
struct place {
    std::shared_ptr<allocation> memory;
    std::span<std::byte> bytes; ///< of the block; nobody may touch them without a lock
};

/// A block: a named part of an allocation. Usually all of it. Resizing puts another allocation in the place of the old.
class VCSM_API block : public std::enable_shared_from_this<block> {
  public:
    block(std::shared_ptr<allocation> memory, std::size_t offset, std::size_t size, std::string name);
    block(const block&) = delete;
    block& operator=(const block&) = delete;
    virtual ~block() = default;

    /// Maps it, if that was not done yet. Throws vcsm::no_block for a block that was given up, vcsm::error.
    [[nodiscard]] detail::place place();
    /// The CPU's address of the block, for those who hold that allocation's mutex. Throws as place() does.
    std::byte* map_locked(allocation& lies_in) {
        std::byte* const known = lies_in.mapped();
        return (known != nullptr ? known : map_now(lies_in)) + offset_;
    }
    /// What it lies in now; keeps the memory mapped, and this block's part of it from becoming anybody else's.
    [[nodiscard]] std::shared_ptr<allocation> memory() const;
    /// Bytes that are its own: usually all of its allocation.
    [[nodiscard]] virtual std::size_t capacity() const { return memory()->capacity(); }
    /// Whether nobody else's bytes lie in its allocation.
    [[nodiscard]] virtual bool alone() const noexcept { return true; }
    /// Bytes asked for.
    [[nodiscard]] std::size_t size() const;
    /// Whole.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Where it starts in its allocation, in bytes.
    [[nodiscard]] std::size_t offset() const noexcept { return offset_; }

    /// Calls `ask(memory)` for the device's memory that it lies in, while nobody else does. Throws vcsm::no_block.
    template <class Ask>
    auto with_memory(Ask&& ask) {
        for (;;) {
            const std::shared_ptr<allocation> now = memory();
            try {
                return now->with_memory(ask);
            } catch (const no_block&) {
                if (memory() == now) {
                    throw; // it is gone, and was not only moved
                }
            }
        }
    }

    /// Resizes itself, if that is not done with another allocation; else gives false. Throws as
    /// vcsm::shared_memory::resize() does.
    [[nodiscard]] virtual bool resize_itself(std::size_t) { return false; }
    /// For blocks of a pool, which have a reference before it has a handle: that reference.
    [[nodiscard]] virtual std::shared_ptr<reference> unnamed() { return nullptr; }
    /// Takes such a block, with which its user is done, to be used again.
    virtual void take_back(std::shared_ptr<reference>&&) noexcept {}

    /// Its last handle is gone, or its service stops: gives back what it lies in, and keeps it no longer, so that it is
    /// unmapped as soon as no lock needs it, however long objects that stand for the block live. A block that shares
    /// its allocation with others overrides it.
    virtual void give_up(fate why) noexcept;
    /// In the child of a fork. Touches no mutex.
    void abandon() noexcept { memory_->abandon(); }

    /// Its handles that are alive, the oldest first. Guarded by the registry's mutex.
    struct handle_list {
        std::uint32_t first = 0; ///< 0: none; nearly every block has this one alone
        std::vector<std::uint32_t> more;
        bool found_by_address = false; ///< is in the index, which it is once it has an address
    } handles;

    /// The same as memory() and size(), for those who hold that allocation's mutex or the registry's.
    [[nodiscard]] allocation* locked_memory() const noexcept { return memory_.get(); }
    [[nodiscard]] std::size_t locked_size() const noexcept { return size_; }

    /// Whether VideoCore's handle, bus address or descriptor was given to the program, through any handle and face.
    std::atomic<bool> handed_out{false};

  protected:
    /// `now`, or what keeps this block alive besides.
    [[nodiscard]] virtual std::shared_ptr<allocation> kept(std::shared_ptr<allocation> now) const { return now; }
    /// What it lies in and nothing besides.
    [[nodiscard]] std::shared_ptr<allocation> bare_memory() const;
    /// Another place, or another size. The caller has the block to itself, but for look-ups (see registry::replace()).
    void put(std::shared_ptr<allocation> memory, std::size_t offset, std::size_t size) noexcept;
    void put(std::size_t size) noexcept { size_ = size; }

  private:
    friend class registry;

    [[gnu::cold]] std::byte* map_now(allocation& lies_in);
    /// It has an address from now on, at which it is to be found.
    void show(const allocation& lies_in, std::byte* address);
    /// Swaps: `another` is the old one afterwards. The caller holds the old one's mutex and the registry's.
    void put_in(std::shared_ptr<allocation>& another, std::size_t size) noexcept;

    mutable std::mutex mutex_;
    registry* listed_in_ = nullptr; // from its first handle on
    std::shared_ptr<allocation> memory_;
    std::size_t offset_;
    std::size_t size_;
    std::string name_;
};

/// One handle to a block. Dead once it was freed, by whichever face of the library.
class VCSM_API reference {
  public:
    reference(std::shared_ptr<block> to, pid_t owner) noexcept : owner_{owner}, block_{std::move(to)} {}
    /// For a block of a pool: it has no handle until somebody asks for it, and shares the fate of the allocation that
    /// it lies in, so that neither allocating nor stopping the service need to look at it.
    reference(std::shared_ptr<block> to, pid_t owner, const allocation& lies_in) noexcept
        : owner_{owner}, block_{std::move(to)}, lies_in_{&lies_in} {}

    /// 0: it has none yet.
    [[nodiscard]] std::uint32_t handle() const noexcept { return handle_.load(std::memory_order_acquire); }
    [[nodiscard]] bool pooled() const noexcept { return lies_in_.load(std::memory_order_relaxed) != nullptr; }
    [[nodiscard]] fate what_became() const noexcept {
        const fate own = fate_.load(std::memory_order_acquire);
        const allocation* const memory = lies_in_.load(std::memory_order_relaxed);
        return own != fate::alive || memory == nullptr ? own : memory->what_became();
    }
    [[nodiscard]] bool alive() const noexcept { return what_became() == fate::alive; }
    /// The block. Throws vcsm::no_block for a handle that is dead.
    [[nodiscard]] block& get() const {
        if (!alive()) {
            throw_no_block(what_became(), block_->name(), owner_);
        }
        return *block_;
    }
    /// The same, dead or alive.
    [[nodiscard]] const std::shared_ptr<block>& shared() const noexcept { return block_; }
    /// True for the one caller that ends it.
    [[nodiscard]] bool end(fate why) noexcept {
        fate expected = fate::alive;
        return fate_.compare_exchange_strong(expected, why, std::memory_order_acq_rel);
    }

    /// How many locks are held through this handle that no object carries (see service::lock). Guarded by the mutex of
    /// the allocation.
    unsigned bare_locks = 0;

    /// For a block that moves to another of its pool's allocations.
    void lies_in(const allocation& memory) noexcept { lies_in_.store(&memory, std::memory_order_relaxed); }

  private:
    friend class registry;

    std::atomic<std::uint32_t> handle_{0}; // the registry gives it
    pid_t owner_;
    std::shared_ptr<block> block_;
    std::atomic<const allocation*> lies_in_{nullptr};
    std::atomic<fate> fate_{fate::alive};
};

/// What lies below a public object, for another language's face to it.
struct inside {
    /// Null for an empty object.
    [[nodiscard]] static const std::shared_ptr<reference>& of(const shared_memory& object) noexcept {
        return object.reference_;
    }
};

} // namespace vcsm::detail
