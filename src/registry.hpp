// From handle to block: one table for C, C++ and Python.
#pragma once

#include "block.hpp"

#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <vector>

namespace vcsm::detail {

/// The references that are alive, by handle. An open-addressed table: one cache line is read in most look-ups. Safe to
/// use from several threads.
class VCSM_API registry {
  public:
    registry();

    /// A new reference to `to`, under a handle that no living reference has and that was not given within the last 2^31
    /// allocations.
    [[nodiscard]] std::shared_ptr<reference> enter(std::shared_ptr<block> to);
    /// The living reference of that handle, or nothing.
    [[nodiscard]] std::shared_ptr<reference> find(std::uint32_t handle) const;
    /// Takes a reference out and ends it; nothing if somebody else did. `last` tells whether its block has no other.
    [[nodiscard]] std::shared_ptr<reference> remove(std::uint32_t handle, fate why, bool& last) noexcept;
    /// Takes all out and ends them.
    [[nodiscard]] std::vector<std::shared_ptr<reference>> remove_all(fate why);
    /// All, by handle.
    [[nodiscard]] std::vector<std::shared_ptr<reference>> all() const;
    [[nodiscard]] bool empty() const noexcept;

    /// Calls `look(reference)` for the handle's reference while nobody can remove it; false where there is none. The
    /// cheapest look-up: `look` must be short, and must not come back here.
    template <class Look>
    bool with(std::uint32_t handle, Look&& look) const {
        const std::shared_lock guard{mutex_};
        const slot* const found = slot_of(handle);
        if (found == nullptr) {
            return false;
        }
        look(*found->to);
        return true;
    }

    /// For a fork: nobody changes the table between lock_for_fork() and one of the others.
    void lock_for_fork() { mutex_.lock(); }
    void unlock_in_parent() { mutex_.unlock(); }
    /// Leaves the table empty.
    void forget_in_child() noexcept;

  private:
    struct slot {
        std::uint32_t handle = 0; // 0: empty
        std::shared_ptr<reference> to;
    };

    [[nodiscard]] std::size_t home_of(std::uint32_t handle) const noexcept;
    [[nodiscard]] const slot* slot_of(std::uint32_t handle) const noexcept;
    void grow();
    void put(slot&& filled) noexcept;

    mutable std::shared_mutex mutex_;
    std::vector<slot> slots_; // a power of two of them, at most half full
    std::size_t live_ = 0;
    std::uint32_t last_ = 0;
};

} // namespace vcsm::detail
