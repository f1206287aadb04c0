// The drivers behind the nodes of a fake kernel, each answering as its interface is documented to, its crashes
// included.
#pragma once

#include "device/fake_kernel.hpp"

#include <array>
#include <map>
#include <set>

namespace fakes {

/// A dma-buf, whoever exported it.
struct dma_buf : object {
    kernel* in = nullptr;
    std::string exporter;
    std::string name;
    bool contiguous = true;
    bool mappable = true;
    bool made_by_alloc = false;        ///< by vcsm-cma's MEM_ALLOC: a SYNC of it can crash
    std::shared_ptr<dma_buf> imported; ///< what a vcsm-cma import chains to
    std::vector<std::uint64_t> syncs;  ///< flags of each that succeeded

    int ioctl(unsigned long number, void* argument) override;
    place map(std::size_t wanted, off_t offset) override;
    std::string fdinfo() const override;
};
[[nodiscard]] std::shared_ptr<dma_buf> make_dma_buf(kernel& in, const std::string& exporter, std::size_t bytes);

/// What a driver gave, by weak pointer: a block lives as long as a descriptor or a mapping of it.
struct living {
    std::vector<std::weak_ptr<dma_buf>> made;
    [[nodiscard]] std::size_t count() const;
    [[nodiscard]] std::shared_ptr<dma_buf> last() const;
};

struct vcsm_cma_driver {
    kernel& in;
    std::size_t free_bytes = std::size_t{1} << 30;
    std::uint64_t next_bus_address = 0xc2000000;
    std::uint32_t next_handle = 1;
    living blocks;

    explicit vcsm_cma_driver(kernel& kernel_of, const std::string& path = "/dev/vcsm-cma");
    int ioctl(unsigned long number, void* argument);

  private:
    int alloc(void* argument);
    int import(void* argument);
};

struct heap_driver {
    kernel& in;
    std::string exporter;
    bool contiguous = true;
    std::size_t free_bytes = std::size_t{1} << 30;
    living blocks;

    heap_driver(kernel& kernel_of, const std::string& name, bool contiguous_memory);
    int ioctl(unsigned long number, void* argument);
};

struct udmabuf_driver {
    kernel& in;
    std::size_t largest = std::size_t{64} << 20;
    living blocks;

    explicit udmabuf_driver(kernel& kernel_of);
    int ioctl(unsigned long number, void* argument);
};

struct legacy_driver {
    kernel& in;
    std::size_t free_bytes = std::size_t{1} << 26;
    std::uint32_t next_handle = 0x1000;

    struct block {
        std::uint32_t size = 0;
        std::uint32_t cached = 0;
        std::string name;
        int backing = -1;
        unsigned locks = 0;
        unsigned flushes = 0;
        unsigned invalidations = 0;
        std::uintptr_t mapped_at = 0;
    };
    std::map<std::uint32_t, block> blocks;
    /// What each CLEAN_INVALID asked for up to its first command of 0: {cmd, handle, addr, size}.
    std::vector<std::vector<std::array<std::uint32_t, 4>>> maintained;

    explicit legacy_driver(kernel& kernel_of);
    int ioctl(unsigned long number, void* argument);
};

struct mailbox_driver {
    kernel& in;
    std::size_t free_bytes = std::size_t{1} << 26;
    std::uint32_t next_handle = 1;
    std::uint32_t next_bus_address = 0xde000000;
    std::uint32_t answer_code = 0x80000000; ///< to say no, or nothing
    bool answers_short = false;
    int physical = -1; ///< a memfd that is all physical memory, full of what others left

    struct block {
        std::uint32_t size = 0;
        std::uint32_t flags = 0;
        std::uint32_t bus_address = 0;
        unsigned locks = 0;
    };
    std::map<std::uint32_t, block> blocks;

    explicit mailbox_driver(kernel& kernel_of);
    ~mailbox_driver();
    int ioctl(unsigned long number, void* argument);
};

struct drm_driver {
    kernel& in;
    std::string name; ///< "v3d", "vc4", or another
    std::size_t free_bytes = std::size_t{1} << 28;
    std::uint32_t next_handle = 1;
    std::uint32_t next_offset = 0x10000;

    struct buffer {
        std::shared_ptr<dma_buf> memory;
        std::uint32_t offset = 0;
    };
    std::map<std::uint32_t, buffer> buffers;

    drm_driver(kernel& kernel_of, std::string driver_name, const std::string& path = "/dev/dri/renderD128");
    int ioctl(unsigned long number, void* argument);
    object::place map(std::size_t bytes, off_t offset);
};

} // namespace fakes
