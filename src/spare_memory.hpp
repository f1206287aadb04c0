// Whole allocations of the driver's that were freed, kept for the next block of the same kind. Only for those who asked
// for it: VideoCore may go on reading a freed block.
#pragma once

#include "device/device.hpp"

#include <vcsm/types.hpp>

#include <cstddef>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

namespace vcsm::detail {

/// What an allocation was asked for.
struct spare_kind {
    std::size_t bytes = 0; ///< whole pages
    cache_mode cache = cache_mode::none;
    std::size_t alignment = 1;

    friend bool operator<(const spare_kind& a, const spare_kind& b) noexcept {
        return std::tie(a.bytes, a.cache, a.alignment) < std::tie(b.bytes, b.cache, b.alignment);
    }
};

/// Safe to use from several threads.
class spare_memory {
  public:
    /// Keeps `freed`, in place of the oldest where it would be more than `most_bytes` otherwise. False, and `freed` is
    /// the caller's still, for more than that, or where there is no memory to remember it.
    bool keep(std::unique_ptr<device::memory>& freed, const spare_kind& kind) noexcept;
    /// That which was kept last of this kind, as its last user left it; or nothing.
    [[nodiscard]] std::unique_ptr<device::memory> take(const spare_kind& kind) noexcept;
    /// Gives all back to the driver; how many bytes.
    std::size_t release_all() noexcept;
    /// In the child of a fork, where nobody else uses it.
    void abandon() noexcept;

    /// Enough for a program's tables and some frames of a camera.
    static constexpr std::size_t most_bytes = std::size_t{64} << 20;

  private:
    struct spare {
        spare_kind kind;
        std::unique_ptr<device::memory> memory;
    };
    using spares = std::list<spare>;

    std::mutex mutex_;                                           // of all below; no memory is released while it is held
    spares all_;                                                 // the newest first
    std::map<spare_kind, std::deque<spares::iterator>> by_kind_; // the newest last
    std::size_t bytes_ = 0;
};

} // namespace vcsm::detail
