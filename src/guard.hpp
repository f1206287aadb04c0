// VCSM_GUARD=1: memory that nobody has locked is not accessible to the CPU, so that a stray access faults at its line.
#pragma once

#include <vcsm/types.hpp>

#include <cstddef>
#include <memory>
#include <string>

namespace vcsm::detail {

/// Guards the mapping of one allocation: under no lock it cannot be accessed, under read locks alone it can be read.
/// Not safe to call from several threads at once; the allocation's mutex sees to that.
///
/// A stray access raises SIGSEGV, as any other would. The handler says in one line on standard error which block it
/// was, what had become of its lock, and where the access was made; then it hands on to whatever handled SIGSEGV
/// before. Faults at other addresses are handed on at once. A program that installs its own handler later, and does
/// not hand on, does without the line.
class VCSM_API guard {
  public:
    /// Whether VCSM_GUARD is 1; a set-user-ID program does not see it.
    [[nodiscard]] static bool wanted() noexcept;
    /// A guard for `bytes` bytes from `first` on, closed; none where none is wanted, or where the memory does not
    /// consist of whole pages. Throws std::system_error, std::bad_alloc.
    [[nodiscard]] static std::unique_ptr<guard> over(std::byte* first, std::size_t bytes, const std::string& block);

    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    /// Lets everybody access it again, for the memory may be given to others.
    ~guard();

    /// Makes it accessible until the next settle(). Throws std::system_error.
    void open();
    /// Counts a lock, or its end, without making it so.
    void count_lock(bool writes) noexcept;
    void count_unlock(bool writes) noexcept;
    /// As accessible as the locks want it.
    void settle() noexcept;
    /// In the child of a fork, which has not inherited the mapping.
    void forget() noexcept;

    /// What the handler reads, which must not take a mutex.
    struct entry;

  private:
    enum class state : unsigned char { closed, readable, open };

    guard(std::byte* first, std::size_t bytes, entry& told) noexcept;
    /// 0 or the errno.
    [[nodiscard]] int become(state wanted) noexcept;

    std::byte* first_;
    std::size_t bytes_;
    entry* told_;
    unsigned readers_ = 0;
    unsigned writers_ = 0;
    state now_ = state::open;
};

/// Keeps a guard open for the library itself. `over` may be null.
class guard_open {
  public:
    explicit guard_open(guard* over) : over_{over} {
        if (over_ != nullptr) {
            over_->open();
        }
    }
    guard_open(const guard_open&) = delete;
    guard_open& operator=(const guard_open&) = delete;
    ~guard_open() {
        if (over_ != nullptr) {
            over_->settle();
        }
    }

  private:
    guard* over_;
};

} // namespace vcsm::detail
