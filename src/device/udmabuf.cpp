#include "device/udmabuf.hpp"

#include "device/dma_buf.hpp"
#include "kernel/udmabuf.hpp"

#include <sys/mman.h>

namespace vcsm::device {

namespace {

constexpr std::string_view device_name = "udmabuf";

class udmabuf final : public dma_buf_device {
  public:
    explicit udmabuf(kernel::unique_fd node) noexcept : node_{std::move(node)} {}

    [[nodiscard]] std::string_view name() const noexcept override { return device_name; }
    [[nodiscard]] std::unique_ptr<memory> allocate(const request& wanted) override;
    void close() noexcept override { node_.reset(); }
    void abandon() noexcept override { node_.reset(); }

  private:
    kernel::unique_fd node_;
};

/// Pages that the driver takes: they must not be cut off (F_SEAL_SHRINK), and stay writable.
kernel::unique_fd sealed_pages(std::size_t bytes, const about& what) {
    kernel::calls& calls = kernel::system();
    kernel::unique_fd pages{
        kernel::retried([&] { return calls.memfd_create("vcsm", MFD_CLOEXEC | MFD_ALLOW_SEALING); })};
    if (!pages || kernel::retried([&] { return calls.ftruncate(pages.get(), static_cast<off_t>(bytes)); }) != 0 ||
        kernel::retried([&] { return calls.fcntl(pages.get(), F_ADD_SEALS, F_SEAL_SHRINK); }) != 0) {
        const int failed = errno;
        fail(failed, what, failed == ENOMEM ? free_memory() : "no memfd could be had for its pages");
    }
    return pages;
}

std::unique_ptr<memory> udmabuf::allocate(const request& wanted) {
    const about what{"allocate", device_name, wanted.name, wanted.bytes};
    const std::size_t bytes = kernel::round_up_to_pages(wanted.bytes);
    const kernel::unique_fd pages = sealed_pages(bytes, what);
    udmabuf_create call{};
    call.memfd = static_cast<std::uint32_t>(pages.get());
    call.flags = UDMABUF_FLAGS_CLOEXEC;
    call.size = bytes;
    kernel::unique_fd descriptor{
        kernel::retried([&] { return kernel::system().ioctl(node_.get(), kernel::udmabuf::create, &call); })};
    if (!descriptor) {
        const int failed = errno;
        fail(failed, what,
             failed == ENOMEM ? free_memory()
             : failed == EINVAL
                 ? "the driver's largest block stands in /sys/module/udmabuf/parameters/size_limit_mb, in "
                   "units of 1048576 bytes: write a larger number there"
                 : "the driver refuses");
    }
    return made(std::move(descriptor), bytes, wanted);
}

} // namespace

std::unique_ptr<device> open_udmabuf() {
    kernel::unique_fd node = kernel::try_open(kernel::udmabuf::node, O_RDWR);
    const about what{"open /dev/udmabuf"};
    if (!node) {
        const int failed = errno;
        fail(failed, what,
             failed == ENOENT
                 ? "load the driver (modprobe udmabuf)"
                 : "the node belongs to group kvm: add the user to it (usermod -aG kvm), or install a udev rule");
    }
    // A request without pages is refused by the driver, and not known by anything else.
    udmabuf_create nothing{};
    nothing.memfd = ~std::uint32_t{0};
    const int answer = kernel::ioctl(node.get(), kernel::udmabuf::create, &nothing);
    if (answer == ENOTTY || answer == 0) {
        fail(ENOTTY, what, "it is no udmabuf device");
    }
    return std::make_unique<udmabuf>(std::move(node));
}

} // namespace vcsm::device
