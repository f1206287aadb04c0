// The time in which the CPU may touch a block, as an object.
#pragma once

#include <vcsm/types.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace vcsm {

/// What a lock is for. Each is a value, so that `lock(vcsm::access::read)` can give const bytes.
namespace access {

/// The type of `read`.
struct read_t {
    explicit read_t() = default;
};
/// The type of `write`.
struct write_t {
    explicit write_t() = default;
};
/// The type of `overwrite`.
struct overwrite_t {
    explicit overwrite_t() = default;
};

/// To read: the view is const, and nothing written through it reaches VideoCore.
inline constexpr read_t read{};
/// To read and to write.
inline constexpr write_t write{};
/// To write, with the promise to write the whole block: what VideoCore has in it is not fetched first, so what is not
/// written afterwards is undefined.
inline constexpr overwrite_t overwrite{};

} // namespace access

namespace detail {

class allocation;

enum class access_kind : unsigned char { read, write, overwrite };

template <class Access>
inline constexpr access_kind kind_of = std::is_same_v<Access, access::read_t>        ? access_kind::read
                                       : std::is_same_v<Access, access::overwrite_t> ? access_kind::overwrite
                                                                                     : access_kind::write;

/// One count of the allocation's lock, given back with the object.
class VCSM_API held_lock {
  public:
    held_lock() noexcept = default;
    held_lock(std::shared_ptr<allocation> locked, access_kind kind);
    held_lock(held_lock&& other) noexcept : locked_{std::move(other.locked_)}, kind_{other.kind_} {}
    held_lock& operator=(held_lock&& other) noexcept {
        if (this != &other) {
            drop();
            locked_ = std::move(other.locked_);
            kind_ = other.kind_;
        }
        return *this;
    }
    ~held_lock() { drop(); }

    [[nodiscard]] bool held() const noexcept { return locked_ != nullptr; }
    void unlock();

  private:
    void drop() noexcept;

    std::shared_ptr<allocation> locked_;
    access_kind kind_ = access_kind::read;
};

} // namespace detail

/// A locked block, seen as objects of T: `std::byte`, `const std::byte`, or any trivially copyable type. A contiguous
/// range: a named lock converts to std::span<T>, a temporary one does not, for its span would outlive it.
///
/// Locks nest and count, also across threads: the first begins the CPU's access, a later one sees what the first saw.
/// Every end of a lock that may write is followed by a clean of the cache at once, so what was written is with
/// VideoCore when the destructor or unlock() has returned. A lock refers to the block's shared state: the object that
/// it was taken from may be moved, or destroyed, meanwhile. One lock object is for one thread at a time.
template <class T>
class [[nodiscard]] lock {
  public:
    using element_type = T;                 ///< const where the lock is for reading
    using value_type = std::remove_cv_t<T>; ///< what an element is, const or not
    using iterator = T*;                    ///< what begin() and end() give

    /// Empty: holds no lock.
    lock() noexcept = default;
    /// For shared_memory::lock(), which is where locks come from.
    lock(detail::held_lock held, std::span<T> view) noexcept : held_{std::move(held)}, view_{view} {}
    /// Takes the lock over; `other` is empty then.
    lock(lock&& other) noexcept : held_{std::move(other.held_)}, view_{std::exchange(other.view_, {})} {}
    /// The same; the lock that this object held is given back first.
    lock& operator=(lock&& other) noexcept {
        if (this != &other) {
            held_ = std::move(other.held_);
            view_ = std::exchange(other.view_, {});
        }
        return *this;
    }
    /// Unlocks. A failure to hand over what was written cannot be told from here: call unlock() to learn of it.
    ~lock() = default;

    /// The first element; nullptr for an empty lock.
    [[nodiscard]] T* data() const noexcept { return view_.data(); }
    /// In elements of T.
    [[nodiscard]] std::size_t size() const noexcept { return view_.size(); }
    /// In bytes.
    [[nodiscard]] std::size_t size_bytes() const noexcept { return view_.size_bytes(); }
    /// Whether there is no element to see.
    [[nodiscard]] bool empty() const noexcept { return view_.empty(); }
    /// The first element.
    [[nodiscard]] T* begin() const noexcept { return view_.data(); }
    /// Behind the last element.
    [[nodiscard]] T* end() const noexcept { return view_.data() + view_.size(); }
    /// No check of the index.
    [[nodiscard]] T& operator[](std::size_t index) const noexcept { return view_[index]; }
    /// Whether it holds a lock.
    [[nodiscard]] explicit operator bool() const noexcept { return held_.held(); }

    /// Unlocks now. Throws vcsm::error where VideoCore may not see all that was written; the lock is given back all the
    /// same. On an empty lock it does nothing.
    void unlock() {
        view_ = {};
        held_.unlock();
    }

  private:
    detail::held_lock held_;
    std::span<T> view_;
};

} // namespace vcsm
