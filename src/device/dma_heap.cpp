#include "device/dma_heap.hpp"

#include "device/dma_buf.hpp"
#include "kernel/dma_heap.hpp"

namespace vcsm::device {

namespace {

class dma_heap final : public dma_buf_device {
  public:
    explicit dma_heap(heap opened) : heap_{std::move(opened)}, name_{"dma-heap:" + heap_.name()} {}

    [[nodiscard]] std::string_view name() const noexcept override { return name_; }
    [[nodiscard]] std::unique_ptr<memory> allocate(const request& wanted) override;
    void close() noexcept override { heap_.abandon(); }
    void abandon() noexcept override { heap_.abandon(); }

  private:
    heap heap_;
    std::string name_;
};

// The heap `system`, which on a Raspberry Pi 5 is also behind `vidbuf_cached`, refuses nothing: it takes page after
// page until the kernel ends processes, and not always the one that asked. What is small is not worth asking for.
bool is_too_much(std::size_t bytes) {
    constexpr std::size_t small = std::size_t{1} << 20;
    const auto available = bytes > small ? available_memory() : std::nullopt;
    return available && bytes > *available;
}

std::unique_ptr<memory> dma_heap::allocate(const request& wanted) {
    const about what{"allocate", name_, wanted.name, wanted.bytes};
    const std::size_t bytes = kernel::round_up_to_pages(wanted.bytes);
    if (is_too_much(bytes)) {
        fail(ENOMEM, what, free_memory());
    }
    int failed = 0;
    kernel::unique_fd descriptor = heap_.allocate(bytes, failed);
    if (!descriptor) {
        fail(failed, what,
             failed != ENOMEM                   ? "the heap refuses"
             : heap_.name() == all_heaps.back() ? free_memory()
                                                : free_contiguous_memory());
    }
    return made(std::move(descriptor), bytes, wanted);
}

} // namespace

heap::heap(std::string_view name) : name_{name} {
    const std::string path = std::string{kernel::dma_heap::directory} + "/" + name_;
    const std::string operation = "open " + path;
    node_ = kernel::try_open(path, O_RDONLY);
    if (!node_) {
        const int failed = errno;
        fail(failed, {operation},
             failed == EACCES || failed == EPERM
                 ? "the heap belongs to another group: add the user to it (usermod -aG video), or install a udev rule"
                 : "list " + std::string{kernel::dma_heap::directory} + " for the heaps that there are");
    }
    check({operation});
}

heap::heap(kernel::unique_fd node, std::string_view name, const about& what) : name_{name}, node_{std::move(node)} {
    check(what);
}

void heap::check(const about& what) const {
    // A request for nothing is refused by every heap, and not known by anything else.
    dma_heap_allocation_data nothing{};
    nothing.fd_flags = O_RDWR | O_CLOEXEC;
    const int answer = kernel::ioctl(node_.get(), kernel::dma_heap::alloc, &nothing);
    if (answer == EBADF) {
        fail(EBADF, what, "it is not open for use: open it without O_PATH");
    }
    if (answer == ENOTTY) {
        fail(ENOTTY, what, "it is no dma-heap");
    }
}

kernel::unique_fd heap::allocate(std::size_t bytes, int& failed_with) const noexcept {
    dma_heap_allocation_data call{};
    call.len = bytes;
    call.fd_flags = O_RDWR | O_CLOEXEC;
    failed_with = kernel::ioctl(node_.get(), kernel::dma_heap::alloc, &call);
    return kernel::unique_fd{failed_with == 0 ? static_cast<int>(call.fd) : -1};
}

std::unique_ptr<device> open_dma_heap(std::optional<std::string_view> heap_name) {
    if (heap_name) {
        return std::make_unique<dma_heap>(heap{*heap_name});
    }
    std::optional<error> worst; // the first that is there but cannot be opened says more than one that is not there
    for (const std::string_view name : all_heaps) {
        try {
            return std::make_unique<dma_heap>(heap{name});
        } catch (const error& refused) {
            if (!worst || (worst->code().value() == ENOENT && refused.code().value() != ENOENT)) {
                worst = refused;
            }
        }
    }
    throw error{*worst};
}

std::unique_ptr<device> adopt_dma_heap(kernel::unique_fd node, std::string_view heap_name, const about& what) {
    return std::make_unique<dma_heap>(heap{std::move(node), heap_name, what});
}

} // namespace vcsm::device
