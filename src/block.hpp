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

    [[nodiscard]] detail::place place() const;
    /// What it lies in now; keeps the memory mapped.
    [[nodiscard]] std::shared_ptr<allocation> memory() const;
    /// Bytes asked for.
    [[nodiscard]] std::size_t size() const;
    /// Whole.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Where it starts in its allocation, in bytes.
    [[nodiscard]] std::size_t offset() const noexcept { return offset_; }

    /// Moves the content to `another` allocation, of `size` bytes. Throws vcsm::error: EBUSY for a locked block, or
    /// what its locks throw; then the block is as it was, and `another` is the caller's to release.
    void move_to(std::shared_ptr<allocation> another, std::size_t size);

    /// Its last handle is gone, or its service stops: gives back what it lies in. A block that shares its allocation
    /// with others overrides it.
    virtual void give_up(fate why) noexcept { memory()->release(why); }
    /// In the child of a fork. Touches no mutex.
    void abandon() noexcept { memory_->abandon(); }

    /// How many handles there are to it. Counted under the registry's mutex.
    unsigned handles = 0;

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<allocation> memory_;
    std::size_t offset_;
    std::size_t size_;
    std::string name_;
};

/// One handle to a block. Dead once it was freed, by whichever face of the library.
class VCSM_API reference {
  public:
    reference(std::uint32_t handle, std::shared_ptr<block> to, pid_t owner) noexcept
        : handle_{handle}, owner_{owner}, block_{std::move(to)} {}

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

    /// Whether VideoCore's handle, bus address or descriptor was given to the program through any face.
    std::atomic<bool> handed_out{false};

  private:
    std::uint32_t handle_;
    pid_t owner_;
    std::shared_ptr<block> block_;
    std::atomic<fate> fate_{fate::alive};
};

} // namespace vcsm::detail
