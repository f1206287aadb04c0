// Memory behind a dma-buf descriptor: what dma-heap, udmabuf and vcsm-cma's blocks, and all imports, have in common.
#pragma once

#include "device/device.hpp"
#include "device/report.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace vcsm::device {

/// What the kernel says of a dma-buf.
struct dma_buf_facts {
    std::size_t bytes = 0;
    std::string exporter; ///< the driver that made it
    std::string name;

    /// Made by /dev/vcsm-cma, by an allocation or an import. Its memory is coherent if allocated, and
    /// DMA_BUF_IOCTL_SYNC on it crashes the kernel while a device is attached, or when what it imported is such a
    /// block.
    [[nodiscard]] bool is_vcsm_cmas() const noexcept;
};

/// Makes sure that a descriptor is a dma-buf, in ways that harm nothing whatever it is. Throws vcsm::error: EBADF for
/// no descriptor, EINVAL for something else than a dma-buf, and what reading /proc gave when it cannot be told: an
/// unproven descriptor can crash a kernel.
[[nodiscard]] dma_buf_facts prove_dma_buf(int descriptor, const about& what);

/// Gives a dma-buf the name that /proc shows, cut to what the kernel takes. Kernels that cannot are let be.
void set_dma_buf_name(int descriptor, const std::string& name) noexcept;

/// Maps all of a block whose address has to be a multiple of `alignment`. Throws as kernel::map_shared.
[[nodiscard]] kernel::mapping map_block(int descriptor, std::size_t bytes, std::size_t alignment, off_t offset = 0);

/// How the CPU's accesses are made to agree with the devices'.
enum class agreement {
    sync,   ///< DMA_BUF_IOCTL_SYNC: memory that the CPU caches
    barrier ///< coherent memory; a barrier orders the accesses
};

class dma_buf_memory : public memory {
  public:
    struct parts {
        kernel::unique_fd descriptor;
        std::size_t bytes = 0;     ///< whole pages
        std::size_t alignment = 1; ///< of the mapping's address
        kernel::mapping mapped;    ///< empty: made when it is first wanted
        agreement how = agreement::sync;
        std::string device; ///< for messages, as the block's name
        std::string block;
    };
    explicit dma_buf_memory(parts whole) noexcept;

    std::byte* map() override;
    [[nodiscard]] int dmabuf() override { return parts_.descriptor.get(); }
    [[nodiscard]] bool is(const file_identity& other) const noexcept override;
    void release() noexcept override;
    void abandon() noexcept override;

  protected:
    [[noreturn]] void sync_failed(int errno_value, const char* operation) const override;

  private:
    parts parts_;
    mutable std::optional<file_identity> identity_; // asked for once
};

/// A descriptor of our own that is proven. All that follows is done with it, because no other thread knows to close or
/// to replace it.
struct proven_dma_buf {
    kernel::unique_fd descriptor;
    dma_buf_facts facts;
};
/// Throws as prove_dma_buf.
[[nodiscard]] proven_dma_buf duplicate_proven(int descriptor, const about& what);
[[nodiscard]] dma_buf_memory::parts mapped_parts(proven_dma_buf proven, const about& what);

/// A device whose blocks are ordinary dma-bufs and nothing more: VideoCore is told nothing of them.
class dma_buf_device : public device {
  public:
    [[nodiscard]] capabilities gives() const noexcept override {
        return {.videocore_handle = false, .bus_address = false, .dmabuf = true, .host_cache = true};
    }
    [[nodiscard]] std::size_t max_bytes() const noexcept override;
    [[nodiscard]] std::unique_ptr<memory> import_dmabuf(int descriptor, const std::string& block) override;

  protected:
    /// The memory of a new dma-buf, named as `wanted`. It is mapped when it is first wanted.
    [[nodiscard]] std::unique_ptr<memory> made(kernel::unique_fd descriptor, std::size_t bytes,
                                               const request& wanted) const;
};

} // namespace vcsm::device
