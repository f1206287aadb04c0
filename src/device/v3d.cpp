#include "device/v3d.hpp"

#include "device/dma_buf.hpp"
#include "device/report.hpp"
#include "kernel/barrier.hpp"
#include "kernel/drm.hpp"

#include <algorithm>
#include <map>
#include <mutex>

namespace vcsm::device {

namespace {

constexpr std::string_view device_name = "v3d";

enum class driver { v3d, vc4 };

/// The open render node and the buffers' handles in it, which several blocks may share: importing a dma-buf again gives
/// the handle that it has already, without counting.
class render_node {
  public:
    render_node(kernel::unique_fd node, driver kind) noexcept : node_{std::move(node)}, kind_{kind} {}

    [[nodiscard]] int get() const noexcept { return node_.get(); }
    [[nodiscard]] driver kind() const noexcept { return kind_; }
    void abandon() noexcept { node_.reset(); }

    /// 0 or the errno; the handle counts once more then.
    [[nodiscard]] int import(int descriptor, std::uint32_t& handle) {
        const std::lock_guard guard{mutex_};
        drm_prime_handle call{};
        call.fd = descriptor;
        const int failed = kernel::ioctl(get(), kernel::drm::prime_fd_to_handle, &call);
        if (failed == 0) {
            handle = call.handle;
            count_use(handle);
        }
        return failed;
    }
    void created(std::uint32_t handle) {
        const std::lock_guard guard{mutex_};
        count_use(handle);
    }
    void close(std::uint32_t handle) noexcept {
        const std::lock_guard guard{mutex_};
        const auto found = uses_.find(handle);
        if (found == uses_.end() || --found->second != 0) {
            return;
        }
        uses_.erase(found);
        close_now(handle);
    }

  private:
    void count_use(std::uint32_t handle) {
        try {
            ++uses_[handle];
        } catch (...) {
            close_now(handle); // the first use of it, or there would have been room
            throw;
        }
    }
    void close_now(std::uint32_t handle) noexcept {
        drm_gem_close call{};
        call.handle = handle;
        (void)kernel::ioctl(get(), kernel::drm::gem_close, &call);
    }

    kernel::unique_fd node_;
    driver kind_;
    std::mutex mutex_;
    std::map<std::uint32_t, std::size_t> uses_;
};
using shared_node = std::shared_ptr<render_node>;

/// One use of a buffer's handle.
class owned_handle {
  public:
    owned_handle(shared_node node, std::uint32_t handle) noexcept : node_{std::move(node)}, handle_{handle} {}
    owned_handle(owned_handle&& other) noexcept
        : node_{std::move(other.node_)}, handle_{std::exchange(other.handle_, 0)} {}
    owned_handle& operator=(owned_handle&&) = delete;
    ~owned_handle() { reset(); }

    [[nodiscard]] std::uint32_t get() const noexcept { return handle_; }
    [[nodiscard]] const render_node& node() const noexcept { return *node_; }
    void reset() noexcept {
        if (handle_ != 0) {
            node_->close(handle_);
        }
        forget();
    }
    void forget() noexcept {
        handle_ = 0;
        node_.reset();
    }

  private:
    shared_node node_;
    std::uint32_t handle_;
};

/// VC4 has no addresses of its own: `address` is empty there.
[[noreturn]] void refuse_address() {
    fail(ENOTSUP, {"give a bus address", device_name},
         "VC4 resolves buffers by their handles when work is submitted: use the device vcsm-cma or mailbox");
}

class created_memory final : public memory {
  public:
    created_memory(owned_handle handle, kernel::mapping mapped, std::optional<std::uint64_t> address,
                   std::string block) noexcept
        : memory{mapped.data(), mapped.size(), cache_mode::none}, handle_{std::move(handle)},
          mapped_{std::move(mapped)}, address_{address}, block_{std::move(block)} {
        // The mapping is write-combined: nothing is cached, but writes wait in a buffer until a barrier.
        bracket_by(bracket::barrier);
    }

    [[nodiscard]] std::uint64_t bus_address() const override {
        if (!address_) {
            refuse_address();
        }
        return *address_;
    }
    [[nodiscard]] int dmabuf() override {
        if (!exported_ && handle_.get() != 0) {
            drm_prime_handle call{};
            call.handle = handle_.get();
            call.flags = DRM_CLOEXEC | DRM_RDWR;
            const int failed = kernel::ioctl(handle_.node().get(), kernel::drm::prime_handle_to_fd, &call);
            if (failed != 0) {
                fail(failed, {"export", device_name, block_, capacity()}, "the render node gave no descriptor");
            }
            exported_.reset(call.fd);
            set_dma_buf_name(exported_.get(), block_);
        }
        return exported_.get();
    }
    [[nodiscard]] bool is(const file_identity& other) const noexcept override {
        return exported_ && identity_of(exported_.get()) == other;
    }
    void release() noexcept override {
        exported_.reset();
        handle_.reset();
    }
    void abandon() noexcept override {
        exported_.reset();
        handle_.forget();
        mapped_.forget();
    }

  private:
    owned_handle handle_;
    kernel::mapping mapped_;
    std::optional<std::uint64_t> address_;
    std::string block_;
    kernel::unique_fd exported_;
};

class imported_memory final : public dma_buf_memory {
  public:
    imported_memory(parts whole, owned_handle handle, std::optional<std::uint64_t> address) noexcept
        : dma_buf_memory{std::move(whole)}, handle_{std::move(handle)}, address_{address} {}

    [[nodiscard]] std::uint64_t bus_address() const override {
        if (!address_) {
            refuse_address();
        }
        return *address_;
    }
    void release() noexcept override {
        handle_.reset();
        dma_buf_memory::release();
    }
    void abandon() noexcept override {
        handle_.forget();
        dma_buf_memory::abandon();
    }

  private:
    owned_handle handle_;
    std::optional<std::uint64_t> address_;
};

class v3d final : public device {
  public:
    explicit v3d(shared_node node) noexcept : kind_{node->kind()}, node_{std::move(node)} {}

    [[nodiscard]] std::string_view name() const noexcept override { return device_name; }
    [[nodiscard]] capabilities gives() const noexcept override {
        return {.videocore_handle = false, .bus_address = kind_ == driver::v3d, .dmabuf = true, .host_cache = false};
    }
    [[nodiscard]] std::size_t max_bytes() const noexcept override {
        return static_cast<std::size_t>(std::uint64_t{UINT32_MAX} & ~std::uint64_t{kernel::page_size() - 1});
    }
    [[nodiscard]] std::unique_ptr<memory> allocate(const request& wanted) override;
    [[nodiscard]] std::unique_ptr<memory> import_dmabuf(int descriptor, const std::string& block) override;
    void close() noexcept override { node_.reset(); }
    void abandon() noexcept override {
        if (node_) {
            node_->abandon();
        }
    }

  private:
    struct created {
        owned_handle handle;
        std::optional<std::uint64_t> address;
    };
    [[nodiscard]] created create(std::size_t bytes, const about& what);
    [[nodiscard]] off_t place_of(std::uint32_t handle, const about& what) const;

    driver kind_;
    shared_node node_;
};

template <class Call>
void ask(const render_node& node, unsigned long request, Call& call, const about& what) {
    const int failed = kernel::ioctl(node.get(), request, &call);
    if (failed != 0) {
        fail(failed, what, failed == ENOMEM ? free_contiguous_memory() : "the render node refuses");
    }
}

v3d::created v3d::create(std::size_t bytes, const about& what) {
    if (node_->kind() == driver::v3d) {
        kernel::v3d::create_bo call{};
        call.size = static_cast<std::uint32_t>(bytes);
        ask(*node_, kernel::v3d::create_bo_request, call, what);
        node_->created(call.handle);
        return {owned_handle{node_, call.handle}, call.offset};
    }
    drm_vc4_create_bo call{};
    call.size = static_cast<std::uint32_t>(bytes);
    ask(*node_, kernel::vc4::create_bo_request, call, what);
    node_->created(call.handle);
    return {owned_handle{node_, call.handle}, std::nullopt};
}

off_t v3d::place_of(std::uint32_t handle, const about& what) const {
    if (node_->kind() == driver::v3d) {
        kernel::v3d::mmap_bo call{};
        call.handle = handle;
        ask(*node_, kernel::v3d::mmap_bo_request, call, what);
        return static_cast<off_t>(call.offset);
    }
    drm_vc4_mmap_bo call{};
    call.handle = handle;
    ask(*node_, kernel::vc4::mmap_bo_request, call, what);
    return static_cast<off_t>(call.offset);
}

std::unique_ptr<memory> v3d::allocate(const request& wanted) {
    const about what{"allocate", device_name, wanted.name, wanted.bytes};
    if (!node_) {
        fail(EBADF, what, "the device was closed");
    }
    const std::size_t bytes = kernel::round_up_to_pages(wanted.bytes);
    created made = create(bytes, what);
    if (made.address && *made.address % wanted.alignment != 0) {
        fail(EINVAL, what, "no memory could be had at a multiple of " + std::to_string(wanted.alignment) + " bytes");
    }
    const off_t place = place_of(made.handle.get(), what);
    kernel::mapping mapped;
    try {
        mapped = map_block(node_->get(), bytes, made.address ? 1 : wanted.alignment, place);
    } catch (const std::system_error& error) {
        fail(error.code().value(), what, "it could not be mapped");
    }
    return std::make_unique<created_memory>(std::move(made.handle), std::move(mapped), made.address, wanted.name);
}

std::unique_ptr<memory> v3d::import_dmabuf(int descriptor, const std::string& block) {
    const about what{"import", device_name, block};
    if (!node_) {
        fail(EBADF, what, "the device was closed");
    }
    dma_buf_memory::parts whole = mapped_parts(duplicate_proven(descriptor, what), what);
    std::uint32_t handle = 0;
    const int failed = node_->import(whole.descriptor.get(), handle);
    if (failed != 0) {
        fail(failed, what, "the render node does not take this dma-buf");
    }
    owned_handle owned{node_, handle};
    std::optional<std::uint64_t> address;
    if (node_->kind() == driver::v3d) {
        kernel::v3d::get_bo_offset call{};
        call.handle = handle;
        ask(*node_, kernel::v3d::get_bo_offset_request, call, what);
        address = call.offset;
    }
    return std::make_unique<imported_memory>(std::move(whole), std::move(owned), address);
}

/// The name of the driver behind a render node; empty for what is no DRM device.
std::string driver_name(int node) {
    std::array<char, 64> name{};
    drm_version call{};
    call.name = name.data();
    call.name_len = name.size();
    if (kernel::ioctl(node, kernel::drm::version, &call) != 0) {
        return {};
    }
    return std::string{name.data(), std::min<std::size_t>(call.name_len, name.size())};
}

} // namespace

std::unique_ptr<device> open_v3d() {
    const about what{"open a render node of v3d or vc4"};
    std::vector<std::string> names;
    try {
        names = kernel::list_directory(kernel::drm::directory);
    } catch (const std::system_error& failed) {
        fail(failed.code().value(), what, "there is no directory /dev/dri to be read");
    }
    int refused = ENOENT;
    for (const std::string& name : names) {
        if (name.rfind(kernel::drm::render_node_prefix, 0) != 0) {
            continue;
        }
        kernel::unique_fd node = kernel::try_open(std::string{kernel::drm::directory} + "/" + name, O_RDWR);
        if (!node) {
            refused = errno;
            continue;
        }
        const std::string driver_behind = driver_name(node.get());
        if (driver_behind == "v3d" || driver_behind == "vc4") {
            return std::make_unique<v3d>(
                std::make_shared<render_node>(std::move(node), driver_behind == "v3d" ? driver::v3d : driver::vc4));
        }
    }
    fail(refused, what,
         refused == EACCES ? "render nodes belong to group render: add the user to it (usermod -aG render)"
                           : "none of the render nodes in /dev/dri is a Raspberry Pi's");
}

} // namespace vcsm::device
