// /dev/dma_heap/*: memory for any device, without VideoCore's help.
#pragma once

#include "device/device.hpp"
#include "device/report.hpp"

#include <array>
#include <optional>
#include <string_view>
#include <vector>

namespace vcsm::device {

/// The contiguous heap's names, in the order in which they are tried: Raspberry Pi OS's own link for what the camera
/// and codecs take, then the heap as the device tree reserves it, as cma= on the command line does, and its name on
/// newer kernels.
inline constexpr std::array<std::string_view, 4> contiguous_heaps{"vidbuf_cached", "linux,cma", "reserved",
                                                                  "default_cma_region"};
/// All of them, and last the one whose memory comes page by page.
inline constexpr std::array<std::string_view, 5> all_heaps{"vidbuf_cached", "linux,cma", "reserved",
                                                           "default_cma_region", "system"};

/// A heap, open.
class heap {
  public:
    /// Throws vcsm::error; "cannot open …".
    explicit heap(std::string_view name);
    /// A descriptor of the heap of that name. Throws vcsm::error about `what`: ENOTTY for one of anything else, EBADF
    /// for one that cannot be asked.
    heap(kernel::unique_fd node, std::string_view name, const about& what);
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// A new dma-buf of whole pages. Throws as kernel::ioctl's errno in `failed_with`; empty then.
    [[nodiscard]] kernel::unique_fd allocate(std::size_t bytes, int& failed_with) const noexcept;
    void abandon() noexcept { node_.reset(); }

  private:
    void check(const about& what) const;

    std::string name_;
    kernel::unique_fd node_;
};

/// The heap of that name, or without one the first of `all_heaps` that opens. Throws vcsm::error.
[[nodiscard]] std::unique_ptr<device> open_dma_heap(std::optional<std::string_view> heap_name);
/// The same with a descriptor of it. Throws as heap's constructor.
[[nodiscard]] std::unique_ptr<device> adopt_dma_heap(kernel::unique_fd node, std::string_view heap_name,
                                                     const about& what);

} // namespace vcsm::device
