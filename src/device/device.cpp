#include "device/device.hpp"

#include <array>
#include <string_view>

namespace vcsm::device {

std::optional<file_identity> identity_of(int descriptor) noexcept {
    struct stat status {};
    if (kernel::system().fstat(descriptor, &status) != 0) {
        return std::nullopt;
    }
    // "anon_inode:dmabuf": the file has no inode of its own.
    constexpr std::string_view anonymous = "anon_inode:";
    std::array<char, anonymous.size()> target{};
    const std::string_view link = kernel::link_of(descriptor, target);
    if (link.empty() || link == anonymous) {
        return std::nullopt;
    }
    return file_identity{status.st_dev, status.st_ino};
}

void memory::throw_not_supported(const char* operation, const char* remedy) const {
    failure what;
    what.operation = operation;
    what.remedy = remedy;
    throw not_supported{std::move(what)};
}

void memory::maintain(const strided_range& which, bool clean, bool forget) {
    const bool all = which.offset == 0 && which.bytes >= capacity();
    if (clean || (forget && !all)) {
        end_access(direction::write);
    }
    if (forget) {
        begin_access(direction::read);
        end_access(direction::read);
    }
}

std::uint32_t memory::videocore_handle() const {
    throw_not_supported("give a VideoCore handle", "VideoCore does not know this device's memory: use dmabuf(), or the "
                                                   "device vcsm-cma where the board has it");
}

std::uint64_t memory::bus_address() const {
    throw_not_supported("give a bus address",
                        "VideoCore does not know this device's memory: use dmabuf(), or the device vcsm-cma where the "
                        "board has it");
}

int memory::dmabuf() {
    throw_not_supported("give a dma-buf",
                        "this device has none: use videocore_handle() or bus_address(), or the device "
                        "vcsm-cma or dma-heap where the board has it");
}

void memory::sync_failed(int errno_value, const char* operation) const {
    failure what;
    what.operation = operation;
    what.bytes = capacity_;
    throw_error(errno_value, std::move(what));
}

bool memory::is(const file_identity&) const noexcept {
    return false;
}

std::unique_ptr<memory> device::import_dmabuf(int, const std::string& name) {
    failure what;
    what.operation = "import a dma-buf";
    what.device = this->name();
    what.block = name;
    what.remedy = "use the device vcsm-cma, dma-heap or udmabuf";
    throw not_supported{std::move(what)};
}

void device::before_resize(memory&, std::size_t) {}

} // namespace vcsm::device
