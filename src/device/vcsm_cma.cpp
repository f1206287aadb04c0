#include "device/vcsm_cma.hpp"

#include "device/descriptor_room.hpp"
#include "device/dma_buf.hpp"
#include "device/dma_heap.hpp"
#include "kernel/signals.hpp"
#include "kernel/vcsm_cma.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

namespace vcsm::device {

namespace {

namespace driver = kernel::vcsm_cma;

constexpr std::string_view device_name = "vcsm-cma";

/// What VideoCore knows a block by.
struct known_as {
    std::uint32_t handle = 0;
    std::uint64_t bus_address = 0;
};

class vcsm_cma_memory final : public dma_buf_memory {
  public:
    /// `keeper` is a mapping of the driver's import, where there is one: the import lives as long as it, and needs no
    /// descriptor of its own.
    vcsm_cma_memory(parts whole, known_as videocore, kernel::mapping keeper) noexcept
        : dma_buf_memory{std::move(whole)}, videocore_{videocore}, keeper_{std::move(keeper)} {}

    [[nodiscard]] std::uint32_t videocore_handle() const override { return videocore_.handle; }
    [[nodiscard]] std::uint64_t bus_address() const override { return videocore_.bus_address; }
    void release() noexcept override {
        dma_buf_memory::release();
        keeper_.reset();
    }
    void abandon() noexcept override {
        dma_buf_memory::abandon();
        keeper_.forget();
    }

  private:
    known_as videocore_;
    kernel::mapping keeper_;
};

/// A block that another process had from the driver. The driver cannot import it again, and does not tell its handle.
class foreign_memory final : public dma_buf_memory {
  public:
    using dma_buf_memory::dma_buf_memory;
    [[nodiscard]] std::uint32_t videocore_handle() const override {
        throw_not_supported("give a VideoCore handle", remedy);
    }
    [[nodiscard]] std::uint64_t bus_address() const override { throw_not_supported("give a bus address", remedy); }

  private:
    static constexpr const char* remedy =
        "the block was allocated by another process, which alone knows it: have that process send it along";
};

class vcsm_cma final : public device {
  public:
    explicit vcsm_cma(kernel::unique_fd node) : node_{std::move(node)} {
        for (const std::string_view name : contiguous_heaps) {
            try {
                heap_.emplace(name);
                break;
            } catch (const error&) {
                continue; // without any, blocks are uncached, and say so
            }
        }
    }

    [[nodiscard]] std::string_view name() const noexcept override { return device_name; }
    [[nodiscard]] capabilities gives() const noexcept override {
        return {.videocore_handle = true, .bus_address = true, .dmabuf = true, .host_cache = heap_.has_value()};
    }
    [[nodiscard]] std::size_t max_bytes() const noexcept override {
        // The driver's 32-bit size would express twice that; it answers ENOMEM from here on whatever there is.
        return (std::size_t{1} << 31U) - kernel::page_size();
    }
    [[nodiscard]] std::unique_ptr<memory> allocate(const request& wanted) override;
    [[nodiscard]] std::unique_ptr<memory> import_dmabuf(int descriptor, const std::string& block) override;
    void close() noexcept override { abandon(); }
    void abandon() noexcept override {
        node_.reset();
        if (heap_) {
            heap_->abandon();
        }
    }

  private:
    struct imported {
        known_as videocore;
        kernel::mapping keeper;
    };

    [[nodiscard]] std::unique_ptr<memory> allocate_cached(const request& wanted, std::size_t bytes, const about& what);
    [[nodiscard]] std::unique_ptr<memory> allocate_coherent(const request& wanted, std::size_t bytes,
                                                            const about& what);
    /// `proven` is a dma-buf, and none of the driver's.
    [[nodiscard]] imported import_proven(int proven, const std::string& block, const about& what);

    kernel::unique_fd node_;
    std::optional<heap> heap_;
    file_table files_;
};

template <std::size_t Bytes>
void put_name(std::uint8_t (&field)[Bytes], const std::string& name) noexcept {
    static_assert(Bytes == driver::name_bytes + 1);
    std::memcpy(field, name.data(), std::min(name.size(), driver::name_bytes)); // the rest of the field is zero already
}

bool is_aligned(std::uint64_t bus_address, std::size_t alignment) noexcept {
    return bus_address % alignment == 0;
}

std::unique_ptr<memory> vcsm_cma::allocate(const request& wanted) {
    const about what{"allocate", device_name, wanted.name, wanted.bytes};
    // Contiguous memory begins at a multiple of its own size, so a block as large as its alignment is aligned.
    const std::size_t bytes = kernel::round_up_to_pages(std::max(wanted.bytes, wanted.alignment));
    std::unique_ptr<memory> block;
    if (is_host_cached(wanted.cache) && heap_) {
        block = allocate_cached(wanted, bytes, what);
    }
    if (!block) {
        block = allocate_coherent(wanted, bytes, what);
    }
    if (!is_aligned(block->bus_address(), wanted.alignment)) {
        fail(EINVAL, what, "no memory could be had at a multiple of " + std::to_string(wanted.alignment) + " bytes");
    }
    return block;
}

std::unique_ptr<memory> vcsm_cma::allocate_cached(const request& wanted, std::size_t bytes, const about& what) {
    // What the driver gives is never cached, whatever its field says. So the memory is a heap's, and the driver imports
    // it. The CPU's accesses are bracketed on the heap's descriptor: the import is attached to it, so the heap sees to
    // VideoCore too, and nothing of the driver is called. The heap's is also what is exported, because it can be
    // imported everywhere, by this driver too, which an import cannot.
    int failed = 0;
    dma_buf_memory::parts whole;
    whole.descriptor = heap_->allocate(bytes, failed);
    if (!whole.descriptor) {
        return nullptr;
    }
    try {
        whole.bytes = bytes;
        imported import = import_proven(whole.descriptor.get(), wanted.name, what);
        set_dma_buf_name(whole.descriptor.get(), wanted.name);
        whole.device = device_name;
        whole.block = wanted.name;
        return std::make_unique<vcsm_cma_memory>(std::move(whole), import.videocore, std::move(import.keeper));
    } catch (const std::system_error&) {
        return nullptr; // such as a heap whose memory is not contiguous: the driver's own is the next best
    }
}

std::unique_ptr<memory> vcsm_cma::allocate_coherent(const request& wanted, std::size_t bytes, const about& what) {
    driver::alloc call{};
    call.size = static_cast<std::uint32_t>(bytes);
    call.num = 1;
    put_name(call.name, wanted.name);
    call.handle = -1;
    int failed = 0;
    {
        // A signal that interrupts the driver while it waits for VideoCore makes it drop a half-made block, in the
        // same way as a missing descriptor does.
        const kernel::signals_held uninterrupted;
        const descriptor_room room{what, files_};
        failed = kernel::ioctl(node_.get(), driver::mem_alloc, &call);
    }
    if (failed != 0) {
        fail(failed, what, failed == ENOMEM ? free_contiguous_memory() : "the driver refuses");
    }
    dma_buf_memory::parts whole;
    whole.descriptor.reset(call.handle);
    if (!whole.descriptor) {
        fail(EMFILE, what, "the driver gave no descriptor: close files or blocks, or raise the limit (ulimit -n)");
    }
    whole.bytes = bytes;
    set_dma_buf_name(whole.descriptor.get(), wanted.name);
    whole.how = agreement::barrier;
    whole.device = device_name;
    whole.block = wanted.name;
    return std::make_unique<vcsm_cma_memory>(std::move(whole), known_as{call.vc_handle, call.dma_addr},
                                             kernel::mapping{});
}

vcsm_cma::imported vcsm_cma::import_proven(int proven, const std::string& block, const about& what) {
    driver::import_dmabuf call{};
    call.dmabuf_fd = proven;
    put_name(call.name, block);
    call.handle = -1;
    int failed = 0;
    {
        const kernel::signals_held uninterrupted;
        const descriptor_room room{what, files_};
        failed = kernel::ioctl(node_.get(), driver::mem_import_dmabuf, &call);
    }
    if (failed != 0) {
        fail(failed, what,
             failed == ENOMEM
                 ? "VideoCore reads contiguous memory only, and this is not, or VideoCore has no room for it: "
                   "take it from the heap linux,cma"
             : failed == EFAULT
                 ? "the driver found no free descriptor: close files or blocks, or raise the limit (ulimit -n)"
                 : "the driver refuses");
    }
    const kernel::unique_fd import{call.handle};
    if (!import) {
        fail(EMFILE, what, "the driver gave no descriptor: close files or blocks, or raise the limit (ulimit -n)");
    }
    imported made;
    made.videocore = {call.vc_handle, call.dma_addr};
    try {
        made.keeper = kernel::map_shared(import.get(), kernel::page_size());
    } catch (const std::system_error& error) {
        fail(error.code().value(), what, "the driver's import could not be mapped");
    }
    return made;
}

std::unique_ptr<memory> vcsm_cma::import_dmabuf(int descriptor, const std::string& block) {
    const about what{"import", device_name, block};
    proven_dma_buf proven = duplicate_proven(descriptor, what);
    const bool is_drivers = proven.facts.is_vcsm_cmas();
    dma_buf_memory::parts whole = mapped_parts(std::move(proven), what);
    if (is_drivers) {
        return std::make_unique<foreign_memory>(std::move(whole));
    }
    imported import = import_proven(whole.descriptor.get(), block, what);
    return std::make_unique<vcsm_cma_memory>(std::move(whole), import.videocore, std::move(import.keeper));
}

} // namespace

std::unique_ptr<device> open_vcsm_cma() {
    const about what{"open /dev/vcsm-cma"};
    kernel::unique_fd node = kernel::try_open(driver::node, O_RDWR);
    if (!node) {
        const int failed = errno;
        fail(failed, what,
             failed == ENOENT
                 ? "this board or kernel has no vcsm-cma driver: use the device dma-heap"
                 : "the driver makes the node open to everybody: find out what changed its mode (vcsm doctor)");
    }
    return adopt_vcsm_cma(std::move(node), what);
}

std::unique_ptr<device> adopt_vcsm_cma(kernel::unique_fd node, const about& what) {
    // Today's driver refuses this request, older ones do nothing for no operations; nothing else knows it.
    driver::clean_invalid2 nothing{};
    const int answer = kernel::ioctl(node.get(), driver::mem_clean_invalid2, &nothing);
    if (answer == EBADF) {
        fail(EBADF, what, "it is not open for use: open it without O_PATH");
    }
    if (answer == ENOTTY) {
        fail(ENOTTY, what, "it is no vcsm-cma device");
    }
    return std::make_unique<vcsm_cma>(std::move(node));
}

} // namespace vcsm::device
