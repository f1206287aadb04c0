// A locked block that Python sees as a buffer.
#pragma once

#include "block.hpp"

namespace vcsm::python {

/// Holds one lock until unlock(), and the memory mapped for as long as anybody looks at it through the buffer.
class view {
  public:
    view(const block& of, bool writes);
    view(const view&) = delete;
    view& operator=(const view&) = delete;
    ~view();

    /// Ends the lock; does nothing the second time. Throws vcsm::error where VideoCore may not see what was written;
    /// it has ended all the same.
    void unlock();
    [[nodiscard]] bool locked() const noexcept { return locked_.lock.held(); }
    [[nodiscard]] bool writes() const noexcept { return writes_; }
    /// Throws ValueError where the lock has ended.
    [[nodiscard]] std::uintptr_t address() const;
    [[nodiscard]] std::size_t size() const noexcept { return locked_.size; }
    /// How many buffers of it are in use: memoryviews, arrays.
    [[nodiscard]] std::size_t users() const noexcept { return users_; }

    /// How many views of this process hold a lock.
    [[nodiscard]] static std::size_t held() noexcept { return held_; }

    /// The buffer protocol's two halves.
    int give_buffer(PyObject* self, Py_buffer* buffer, int flags) noexcept;
    void take_back_buffer() noexcept { --users_; }

  private:
    [[nodiscard]] detail::held_lock take_lock() noexcept;

    static inline std::size_t held_ = 0; // changed with the GIL alone

    block::locked locked_;
    bool writes_;
    bool pinned_ = false; // there is a buffer that outlives the lock
    std::size_t users_ = 0;
};

void define_view(nb::module_& module);

} // namespace vcsm::python
