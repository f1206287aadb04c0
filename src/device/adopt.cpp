// Taking over a device that the program opened itself.
#include "device/choose.hpp"
#include "device/dma_heap.hpp"
#include "device/report.hpp"
#include "device/vcsm_cma.hpp"
#include "device/vcsm_legacy.hpp"
#include "kernel/dma_heap.hpp"
#include "kernel/vcsm_cma.hpp"
#include "kernel/vcsm_legacy.hpp"

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

namespace vcsm::device {

namespace {

/// What a descriptor is of, told without asking what is behind it: an unknown driver may do anything with a request.
class opened_file {
  public:
    explicit opened_file(int descriptor) {
        struct stat status {};
        if (kernel::system().fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode)) {
            device_number_ = status.st_rdev;
        }
        path_ = kernel::link_of(descriptor, text_);
    }
    /// Whether it is of the device that has that node. Where it does not look like a device (vcsm-sim's do not), the
    /// path that it was opened by tells.
    [[nodiscard]] bool is(const std::string& node) const {
        struct stat status {};
        if (kernel::system().stat(node.c_str(), &status) != 0 || !S_ISCHR(status.st_mode)) {
            return false;
        }
        return device_number_ ? *device_number_ == status.st_rdev : path_ == node;
    }

  private:
    std::optional<dev_t> device_number_;
    std::array<char, 256> text_{};
    std::string_view path_;
};

/// The heap that it is of; those that would be chosen come first, for one may have several names.
std::optional<std::string> heap_of(const opened_file& file) {
    std::vector<std::string> names{all_heaps.begin(), all_heaps.end()};
    try {
        const std::vector<std::string> here = kernel::list_directory(kernel::dma_heap::directory);
        names.insert(names.end(), here.begin(), here.end());
    } catch (const std::system_error&) { // there is none
    }
    for (const std::string& name : names) {
        if (file.is(std::string{kernel::dma_heap::directory} + "/" + name)) {
            return name;
        }
    }
    return std::nullopt;
}

std::shared_ptr<device> adopt_own(kernel::unique_fd own, const about& what) {
    const opened_file file{own.get()};
    if (file.is(kernel::vcsm_cma::node)) {
        return adopt_vcsm_cma(std::move(own), what);
    }
    if (file.is(kernel::vcsm_legacy::node)) {
        return adopt_vcsm_legacy(std::move(own), what);
    }
    if (const auto name = heap_of(file)) {
        return adopt_dma_heap(std::move(own), *name, what);
    }
    fail(ENODEV, what, "it is of none of /dev/vcsm-cma, /dev/vcsm and /dev/dma_heap/*");
}

} // namespace

std::shared_ptr<device> adopt(int descriptor) {
    const std::string operation = "use the device that descriptor " + std::to_string(descriptor) + " is of";
    const about what{operation};
    kernel::unique_fd own;
    try {
        own = kernel::duplicate(descriptor);
    } catch (const std::system_error& refused) {
        const int value = refused.code().value();
        fail(value, what,
             value == EBADF ? "there is no such open descriptor"
                            : "close files or blocks, or raise the limit (ulimit -n)");
    }
    try {
        return adopt_own(std::move(own), what);
    } catch (const error& refused) {
        // What is no device by its own answers, or one that this program cannot use, is none of ours.
        const int value = refused.code().value();
        if (value == ENOTTY || value == ENOTSUP) {
            fail(ENODEV, what, refused.details().remedy);
        }
        throw;
    }
}

} // namespace vcsm::device
