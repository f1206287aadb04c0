// A block, and the handles to it.
#pragma once

#include "allocation.hpp"

#include <vcsm/service.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace vcsm::detail {

/// Where a block lies at one moment. Holding it keeps the memory mapped.
struct place {
    std::shared_ptr<allocation> memory;
    std::span<std::byte> bytes; ///< of the block; nobody may touch them without a lock
};

/// A block: a named part of an allocation. Usually all of it. Resizing puts another allocation in the place of the old.
class VCSM_API block {
  public:
    block(std::shared_ptr<allocation> memory, std::size_t offset, std::size_t size, std::string name);
    block(const block&) = delete;
    block& operator=(const block&) = delete;
    virtual ~block() = default;

    /// Throws vcsm::no_block for a block that was given up.
    [[nodiscard]] detail::place place() const;
    /// What it lies in now; keeps the memory mapped.
    [[nodiscard]] std::shared_ptr<allocation> memory() const;
    /// Bytes asked for.
    [[nodiscard]] std::size_t size() const;
    /// Whole.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Where it starts in its allocation, in bytes.
    [[nodiscard]] std::size_t offset() const noexcept { return offset_; }

    /// Begins a lock of what it lies in, and gives that. Throws vcsm::no_block, vcsm::error; then nothing is locked.
    [[nodiscard]] std::shared_ptr<allocation> begin(access_kind kind);
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
    } handles;

    /// The same as memory() and size(), for those who hold that allocation's mutex or the registry's.
    [[nodiscard]] allocation* locked_memory() const noexcept { return memory_.get(); }
    [[nodiscard]] std::size_t locked_size() const noexcept { return size_; }

    /// Whether VideoCore's handle, bus address or descriptor was given to the program, through any handle and face.
    std::atomic<bool> handed_out{false};

  private:
    friend class registry;

    /// Swaps: `another` is the old one afterwards. The caller holds the old one's mutex and the registry's.
    void put_in(std::shared_ptr<allocation>& another, std::size_t size) noexcept;

    mutable std::mutex mutex_;
    std::shared_ptr<allocation> memory_;
    std::size_t offset_;
    std::size_t size_;
    std::string name_;
};

/// One handle to a block. Dead once it was freed, by whichever face of the library.
class VCSM_API reference {
  public:
    reference(std::shared_ptr<block> to, pid_t owner) noexcept : owner_{owner}, block_{std::move(to)} {}

    [[nodiscard]] std::uint32_t handle() const noexcept { return handle_; }
    [[nodiscard]] fate what_became() const noexcept { return fate_.load(std::memory_order_acquire); }
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

  private:
    friend class registry;

    std::uint32_t handle_ = 0; // the registry gives it, before anybody else sees the object
    pid_t owner_;
    std::shared_ptr<block> block_;
    std::atomic<fate> fate_{fate::alive};
};

} // namespace vcsm::detail
