#include "device/vcsm_legacy.hpp"

#include "device/report.hpp"
#include "device/substitute.hpp"
#include "kernel/barrier.hpp"
#include "kernel/vcsm_legacy.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <unistd.h>

namespace vcsm::device {

namespace {

namespace driver = kernel::vcsm_legacy;

constexpr std::string_view device_name = "vcsm";

/// The open device; its blocks' handles belong to it, so it stays open as long as any of them.
using shared_node = std::shared_ptr<kernel::unique_fd>;

/// A handle that is given back unless it finds an owner.
class owned_handle {
  public:
    owned_handle(shared_node node, std::uint32_t handle) noexcept : node_{std::move(node)}, handle_{handle} {}
    owned_handle(owned_handle&& other) noexcept
        : node_{std::move(other.node_)}, handle_{std::exchange(other.handle_, 0)}, locked_{other.locked_} {}
    owned_handle& operator=(owned_handle&&) = delete;
    ~owned_handle() { reset(); }

    [[nodiscard]] std::uint32_t get() const noexcept { return handle_; }
    [[nodiscard]] explicit operator bool() const noexcept { return handle_ != 0; }
    [[nodiscard]] int node() const noexcept { return node_->get(); }
    /// 0 or the errno. VideoCore may move a block that is not locked, and its bus address with it.
    [[nodiscard]] int lock() noexcept {
        driver::lock_unlock call{handle_, 0};
        const int failed = kernel::ioctl(node(), driver::mem_lock, &call);
        locked_ = failed == 0;
        return failed;
    }
    void reset() noexcept {
        if (handle_ == 0) {
            return;
        }
        if (locked_) {
            driver::lock_unlock call{handle_, 0};
            (void)kernel::ioctl(node(), driver::mem_unlock, &call);
        }
        driver::free call{handle_};
        (void)kernel::ioctl(node(), driver::mem_free, &call);
        forget();
    }
    void forget() noexcept {
        handle_ = 0;
        node_.reset();
    }

  private:
    shared_node node_;
    std::uint32_t handle_;
    bool locked_ = false;
};

class legacy_memory final : public memory {
  public:
    legacy_memory(owned_handle handle, kernel::mapping mapped, cache_mode granted, std::string block,
                  std::uint32_t videocore_handle, std::uint32_t bus_address) noexcept
        : memory{mapped.data(), mapped.size(), granted}, mapped_{std::move(mapped)}, handle_{std::move(handle)},
          block_{std::move(block)}, videocore_handle_{videocore_handle}, bus_address_{bus_address} {}
    ~legacy_memory() override { release(); }

    void begin_own_access(direction way) override {
        if ((static_cast<unsigned>(way) & static_cast<unsigned>(direction::read)) != 0) {
            maintain_cache(driver::mem_invalid, "lock");
        }
        kernel::memory_barrier();
    }
    void end_own_access(direction way) override {
        kernel::memory_barrier();
        if ((static_cast<unsigned>(way) & static_cast<unsigned>(direction::write)) != 0) {
            maintain_cache(driver::mem_flush, "unlock");
        }
    }
    void maintain(const strided_range& which, bool clean, bool forget) override;
    [[nodiscard]] std::uint32_t videocore_handle() const override { return videocore_handle_; }
    [[nodiscard]] std::uint64_t bus_address() const override { return bus_address_; }
    void release() noexcept override {
        if (handle_) {
            // The driver unmaps what it frees. Whoever took the addresses then would lose them again when this object
            // ends, so they are given other memory first.
            substitute(mapped_);
            handle_.reset();
        }
    }
    void abandon() noexcept override {
        handle_.forget();
        mapped_.forget();
    }

  private:
    [[nodiscard]] bool has_cached_lines() const noexcept { return is_host_cached(granted_cache()) && handle_; }
    [[nodiscard]] std::uint32_t address_at(std::size_t offset) const noexcept {
        return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(data() + offset));
    }
    template <class Struct>
    void ask_for_agreement(unsigned long request, Struct& call, const char* operation) {
        const int failed = kernel::ioctl(handle_.node(), request, &call);
        if (failed != 0) {
            fail(failed, {operation, device_name, block_, capacity()},
                 "the driver could not make the CPU's cache and memory agree");
        }
    }
    void maintain_cache(unsigned long request, const char* operation) {
        if (!has_cached_lines()) {
            return;
        }
        driver::cache call{handle_.get(), address_at(0), static_cast<std::uint32_t>(capacity())};
        ask_for_agreement(request, call, operation);
    }

    kernel::mapping mapped_;
    owned_handle handle_;
    std::string block_;
    std::uint32_t videocore_handle_;
    std::uint32_t bus_address_;
};

void legacy_memory::maintain(const strided_range& which, bool clean, bool forget) {
    kernel::memory_barrier();
    if (!has_cached_lines()) {
        return;
    }
    const std::uint32_t command = (clean ? driver::command_cleans : 0) | (forget ? driver::command_invalidates : 0);
    const strided_range ranges = which.joined();
    for (std::size_t done = 0; done < ranges.count;) {
        driver::clean_invalid call{}; // what is left of it is commands of 0, at the first of which the driver stops
        for (std::size_t i = 0; i < std::size(call.s) && done < ranges.count; ++i, ++done) {
            call.s[i] = {command, handle_.get(), address_at(ranges.offset + done * ranges.stride),
                         static_cast<std::uint32_t>(ranges.bytes)};
        }
        ask_for_agreement(driver::mem_clean_invalid, call, "clean or invalidate");
    }
}

class vcsm_legacy final : public device {
  public:
    explicit vcsm_legacy(kernel::unique_fd node) : node_{std::make_shared<kernel::unique_fd>(std::move(node))} {}

    [[nodiscard]] std::string_view name() const noexcept override { return device_name; }
    [[nodiscard]] capabilities gives() const noexcept override {
        return {.videocore_handle = true, .bus_address = true, .dmabuf = false, .host_cache = true};
    }
    [[nodiscard]] std::size_t max_bytes() const noexcept override {
        return static_cast<std::size_t>(std::uint64_t{UINT32_MAX} & ~std::uint64_t{kernel::page_size() - 1});
    }
    [[nodiscard]] std::unique_ptr<memory> allocate(const request& wanted) override;
    void close() noexcept override { node_.reset(); }
    void abandon() noexcept override {
        if (node_) {
            node_->reset();
        }
    }

  private:
    /// An answer of 0 means that the driver does not know the handle.
    [[nodiscard]] driver::map ask(unsigned long request, std::uint32_t handle, const about& what) const;

    shared_node node_;
};

driver::map vcsm_legacy::ask(unsigned long request, std::uint32_t handle, const about& what) const {
    driver::map call{};
    call.pid = static_cast<std::uint32_t>(::getpid());
    call.handle = handle;
    const int failed = kernel::ioctl(node_->get(), request, &call);
    const std::uint32_t answer = request == driver::map_vc_hdl_fr_hdl ? call.handle : call.addr;
    if (failed != 0 || answer == 0) {
        fail(failed != 0 ? failed : EIO, what, "the driver does not say what VideoCore knows it by");
    }
    return call;
}

std::unique_ptr<memory> vcsm_legacy::allocate(const request& wanted) {
    const about what{"allocate", device_name, wanted.name, wanted.bytes};
    if (!node_) {
        fail(EBADF, what, "the device was closed");
    }
    const std::size_t bytes = kernel::round_up_to_pages(std::max(wanted.bytes, wanted.alignment));
    driver::alloc call{};
    call.size = static_cast<std::uint32_t>(bytes);
    call.num = 1;
    call.cached = static_cast<std::uint32_t>(wanted.cache);
    std::memcpy(call.name, wanted.name.data(), std::min(wanted.name.size(), driver::name_bytes));
    const int failed = kernel::ioctl(node_->get(), driver::mem_alloc, &call);
    if (failed != 0 || call.handle == 0) {
        fail(failed != 0 ? failed : ENOMEM, what,
             failed == 0 || failed == ENOMEM
                 ? "VideoCore's part of the memory is used up: free blocks, or enlarge it with gpu_mem= in config.txt"
                 : "the driver refuses");
    }
    owned_handle handle{node_, call.handle};
    kernel::mapping mapped;
    try {
        mapped = kernel::map_shared(node_->get(), bytes, static_cast<off_t>(call.handle));
    } catch (const std::system_error& error) {
        fail(error.code().value(), what, "it could not be mapped");
    }
    if (const int refused = handle.lock(); refused != 0) {
        fail(refused, what, "VideoCore did not let the CPU have it");
    }
    const std::uint32_t videocore_handle = ask(driver::map_vc_hdl_fr_hdl, handle.get(), what).handle;
    const std::uint32_t bus_address = ask(driver::map_vc_addr_fr_hdl, handle.get(), what).addr;
    if (bus_address % wanted.alignment != 0) {
        fail(EINVAL, what, "no memory could be had at a multiple of " + std::to_string(wanted.alignment) + " bytes");
    }
    auto block = std::make_unique<legacy_memory>(std::move(handle), std::move(mapped), wanted.cache, wanted.name,
                                                 videocore_handle, bus_address);
    std::memset(block->data(), 0, bytes); // VideoCore gives memory as others left it
    block->end_access(direction::write);
    return block;
}

void check_program(unsigned program_bits, const about& what) {
    if (program_bits != 32) {
        fail(ENOTSUP, what,
             "the driver's addresses have 32 bits and this program's have " + std::to_string(program_bits) +
                 ": build it for 32 bits, or use the device vcsm-cma");
    }
}

} // namespace

std::unique_ptr<device> open_vcsm_legacy(unsigned program_bits) {
    const about what{"open /dev/vcsm"};
    check_program(program_bits, what);
    kernel::unique_fd node = kernel::try_open(driver::node, O_RDWR);
    if (!node) {
        const int failed = errno;
        fail(failed, what,
             failed == ENOENT ? "kernels from 5.10 have no such driver: use the device vcsm-cma"
                              : "the node belongs to group video: add the user to it (usermod -aG video)");
    }
    return adopt_vcsm_legacy(std::move(node), what, program_bits);
}

std::unique_ptr<device> adopt_vcsm_legacy(kernel::unique_fd node, const about& what, unsigned program_bits) {
    check_program(program_bits, what);
    if ((kernel::system().fcntl(node.get(), F_GETFL, 0) & O_ACCMODE) != O_RDWR) {
        fail(EBADF, what, "blocks are mapped through it: open it for reading and writing");
    }
    // The size of a handle that cannot be is answered with 0, and not known by anything else.
    driver::size nothing{};
    if (kernel::ioctl(node.get(), driver::size_usr_hdl, &nothing) == ENOTTY) {
        fail(ENOTTY, what, "it is no vcsm device");
    }
    return std::make_unique<vcsm_legacy>(std::move(node));
}

} // namespace vcsm::device
