#include "device/mailbox.hpp"

#include "device/report.hpp"
#include "device/substitute.hpp"
#include "kernel/barrier.hpp"
#include "kernel/mailbox.hpp"

#include <algorithm>

namespace vcsm::device {

namespace {

namespace firmware = kernel::mailbox;

constexpr std::string_view device_name = "mailbox";

struct nodes {
    kernel::unique_fd mailbox;
    kernel::unique_fd physical_memory;
};
using shared_nodes = std::shared_ptr<nodes>;

/// Asks the firmware one thing; its answer stands in values[0]. 0 or an errno: EIO for an answer that is none.
template <std::size_t Values>
[[nodiscard]] int ask(const nodes& open, firmware::tag tag, std::array<std::uint32_t, Values>& values) noexcept {
    // On its own 16-byte boundary, as the firmware wants a message.
    alignas(16) firmware::buffer<Values> message;
    message.property = static_cast<std::uint32_t>(tag);
    message.values = values;
    const int failed = kernel::ioctl(open.mailbox.get(), firmware::property, &message);
    if (failed != 0) {
        return failed;
    }
    const std::uint32_t answered_bytes = message.value_code & ~firmware::value_answered;
    if (message.code != firmware::answered || (message.value_code & firmware::value_answered) == 0 ||
        answered_bytes < sizeof(std::uint32_t)) {
        return EIO;
    }
    values = message.values;
    return 0;
}

/// Memory of the firmware's that is given back unless it finds an owner: nobody else does, not even when the process
/// ends.
class owned_handle {
  public:
    owned_handle(shared_nodes open, std::uint32_t handle) noexcept : open_{std::move(open)}, handle_{handle} {}
    owned_handle(owned_handle&& other) noexcept
        : open_{std::move(other.open_)}, handle_{std::exchange(other.handle_, 0)}, locked_{other.locked_} {}
    owned_handle& operator=(owned_handle&&) = delete;
    ~owned_handle() { reset(); }

    [[nodiscard]] std::uint32_t get() const noexcept { return handle_; }
    [[nodiscard]] explicit operator bool() const noexcept { return handle_ != 0; }
    /// 0 or the errno.
    [[nodiscard]] int lock(std::uint32_t& bus_address) noexcept {
        std::array<std::uint32_t, 1> values{handle_};
        const int failed = ask(*open_, firmware::tag::lock_memory, values);
        bus_address = values[0];
        locked_ = failed == 0 && bus_address != 0;
        return failed != 0 || bus_address != 0 ? failed : ENOMEM;
    }
    void reset() noexcept {
        if (handle_ == 0) {
            return;
        }
        std::array<std::uint32_t, 1> values{handle_};
        if (locked_) {
            if (ask(*open_, firmware::tag::unlock_memory, values) != 0) {
                forget(); // memory that stays locked must not be given to others: it stays taken
                return;
            }
            values = {handle_};
        }
        (void)ask(*open_, firmware::tag::release_memory, values);
        forget();
    }
    void forget() noexcept {
        handle_ = 0;
        open_.reset();
    }

  private:
    shared_nodes open_;
    std::uint32_t handle_;
    bool locked_ = false;
};

class mailbox_memory final : public memory {
  public:
    mailbox_memory(owned_handle handle, kernel::mapping mapped, std::uint32_t bus_address) noexcept
        : memory{mapped.data(), mapped.size(), cache_mode::none}, mapped_{std::move(mapped)},
          handle_{std::move(handle)}, videocore_handle_{handle_.get()}, bus_address_{bus_address} {
        bracket_by(bracket::barrier);
    }
    ~mailbox_memory() override { release(); }

    [[nodiscard]] std::uint32_t videocore_handle() const override { return videocore_handle_; }
    [[nodiscard]] std::uint64_t bus_address() const override { return bus_address_; }
    void release() noexcept override {
        if (handle_) {
            substitute(mapped_); // the firmware gives the memory to the next who asks, and we must not be in it then
            handle_.reset();
        }
    }
    void abandon() noexcept override {
        handle_.forget();
        mapped_.forget();
    }

  private:
    kernel::mapping mapped_;
    owned_handle handle_;
    std::uint32_t videocore_handle_;
    std::uint32_t bus_address_;
};

class mailbox final : public device {
  public:
    explicit mailbox(nodes open) : open_{std::make_shared<nodes>(std::move(open))} {}

    [[nodiscard]] std::string_view name() const noexcept override { return device_name; }
    [[nodiscard]] capabilities gives() const noexcept override {
        return {.videocore_handle = true, .bus_address = true, .dmabuf = false, .host_cache = false};
    }
    [[nodiscard]] std::size_t max_bytes() const noexcept override {
        return firmware::physical_mask & ~(kernel::page_size() - 1);
    }
    [[nodiscard]] std::unique_ptr<memory> allocate(const request& wanted) override;
    void close() noexcept override { open_.reset(); }
    void abandon() noexcept override {
        if (open_) {
            open_->mailbox.reset();
            open_->physical_memory.reset();
        }
    }

  private:
    shared_nodes open_;
};

/// Device memory on 64-bit Arm faults at the C library's way of zeroing, which is by cache lines: word by word it is.
void zero(std::byte* data, std::size_t bytes) noexcept {
    auto* const words = reinterpret_cast<volatile std::uint64_t*>(data);
    for (std::size_t i = 0; i != bytes / sizeof *words; ++i) {
        words[i] = 0;
    }
}

std::unique_ptr<memory> mailbox::allocate(const request& wanted) {
    const about what{"allocate", device_name, wanted.name, wanted.bytes};
    if (!open_) {
        fail(EBADF, what, "the device was closed");
    }
    const std::size_t bytes = kernel::round_up_to_pages(wanted.bytes);
    std::array<std::uint32_t, 3> values{static_cast<std::uint32_t>(bytes),
                                        static_cast<std::uint32_t>(std::max(wanted.alignment, kernel::page_size())),
                                        firmware::flag_direct};
    int failed = ask(*open_, firmware::tag::allocate_memory, values);
    if (failed != 0 || values[0] == 0) {
        fail(failed != 0 ? failed : ENOMEM, what,
             failed != 0
                 ? "the firmware's answer is an error or none"
                 : "VideoCore's part of the memory is used up: free blocks, or enlarge it with gpu_mem= in config.txt");
    }
    owned_handle handle{open_, values[0]};
    std::uint32_t bus_address = 0;
    failed = handle.lock(bus_address);
    if (failed != 0) {
        fail(failed, what, "the firmware did not lock it");
    }
    if (bus_address % wanted.alignment != 0) {
        fail(EINVAL, what, "no memory could be had at a multiple of " + std::to_string(wanted.alignment) + " bytes");
    }
    kernel::mapping mapped;
    try {
        mapped = kernel::map_shared(open_->physical_memory.get(), bytes,
                                    static_cast<off_t>(bus_address & firmware::physical_mask));
    } catch (const std::system_error& error) {
        fail(error.code().value(), what,
             "it could not be mapped through /dev/mem: add iomem=relaxed strict-devmem=0 to the kernel's command line");
    }
    zero(mapped.data(), bytes);
    kernel::memory_barrier();
    return std::make_unique<mailbox_memory>(std::move(handle), std::move(mapped), bus_address);
}

} // namespace

std::unique_ptr<device> open_mailbox() {
    const auto open_node = [](const char* path, int flags) {
        kernel::unique_fd node = kernel::try_open(path, flags);
        if (!node) {
            const int failed = errno;
            const std::string operation = std::string{"open "} + path;
            fail(failed, {operation},
                 failed == ENOENT ? "only a Raspberry Pi's firmware has a mailbox"
                                  : "the mailbox gives memory to root alone: use the device vcsm-cma");
        }
        return node;
    };
    nodes open;
    open.mailbox = open_node(firmware::node, O_RDWR);
    open.physical_memory = open_node(firmware::memory_node, O_RDWR | O_SYNC);
    // A question that every firmware answers, and changes nothing.
    std::array<std::uint32_t, 1> revision{};
    if (const int failed = ask(open, firmware::tag::get_board_revision, revision); failed != 0) {
        fail(failed, {"open /dev/vcio"}, "it is no mailbox that answers");
    }
    return std::make_unique<mailbox>(std::move(open));
}

} // namespace vcsm::device
