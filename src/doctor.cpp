#include <vcsm/doctor.hpp>

#include "device/board.hpp"
#include "device/choose.hpp"
#include "device/dma_heap.hpp"
#include "doctor.hpp"
#include "kernel/dma_heap.hpp"
#include "kernel/drm.hpp"
#include "kernel/mailbox.hpp"
#include "kernel/proc_text.hpp"
#include "kernel/syscalls.hpp"
#include "kernel/udmabuf.hpp"
#include "kernel/vcsm_cma.hpp"
#include "kernel/vcsm_legacy.hpp"

#include <algorithm>
#include <array>

#include <vcsm/error.hpp>

namespace vcsm {

namespace {

std::string text_of(const std::string& path) {
    try {
        return kernel::read_text(path);
    } catch (const std::system_error&) {
        return {};
    }
}

std::string first_line(std::string text) {
    text.resize(std::min(text.size(), text.find('\n')));
    return text;
}

node_info look_at(const std::string& path, const detail::names& users, const detail::names& groups) {
    node_info node;
    node.path = path;
    kernel::calls& calls = kernel::system();
    std::array<char, 4096> target{};
    const ssize_t length = calls.readlink(path.c_str(), target.data(), target.size());
    node.target.assign(target.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    struct stat status {};
    if (calls.stat(path.c_str(), &status) != 0) {
        node.why_not = errno;
        node.there = errno != ENOENT && errno != ENOTDIR;
        return node;
    }
    node.there = true;
    node.owner = detail::name_of(users, status.st_uid);
    node.group = detail::name_of(groups, status.st_gid);
    node.mode = status.st_mode & 07777;
    const kernel::unique_fd opened = kernel::try_open(path, O_RDWR);
    node.can_be_opened = static_cast<bool>(opened);
    node.why_not = opened ? 0 : errno;
    return node;
}

std::vector<std::string> names_in(const char* directory) {
    try {
        return kernel::list_directory(directory);
    } catch (const std::system_error&) {
        return {};
    }
}

std::vector<std::string> node_paths() {
    std::vector<std::string> paths{kernel::vcsm_cma::node, kernel::vcsm_legacy::node, kernel::mailbox::node};
    for (const std::string& heap : names_in(kernel::dma_heap::directory)) {
        paths.push_back(std::string{kernel::dma_heap::directory} + "/" + heap);
    }
    paths.emplace_back(kernel::udmabuf::node);
    for (const std::string& name : names_in(kernel::drm::directory)) {
        if (name.rfind(kernel::drm::render_node_prefix, 0) == 0) {
            paths.push_back(std::string{kernel::drm::directory} + "/" + name);
        }
    }
    return paths;
}

/// Halves the doubt until it is a page: some 15 allocations, each given back at once.
std::optional<std::uint64_t> largest_contiguous(std::uint64_t free) {
    for (const std::string_view name : device::contiguous_heaps) {
        std::optional<device::heap> heap;
        try {
            heap.emplace(name);
        } catch (const error&) {
            continue;
        }
        const std::uint64_t page = kernel::page_size();
        std::uint64_t had = 0;
        std::uint64_t too_much = free / page + 1; // in pages
        while (had + 1 < too_much) {
            const std::uint64_t middle = had + (too_much - had) / 2;
            int failed = 0;
            const kernel::unique_fd block = heap->allocate(static_cast<std::size_t>(middle * page), failed);
            (block ? had : too_much) = middle;
        }
        return had * page;
    }
    return std::nullopt;
}

/// What the firmware says; nothing where it cannot be asked.
std::optional<std::uint64_t> memory_of_gpu() {
    const kernel::unique_fd node = kernel::try_open(kernel::mailbox::node, O_RDWR);
    if (!node) {
        return std::nullopt;
    }
    alignas(16) kernel::mailbox::buffer<2> question; // the answer: where it begins, and its bytes
    question.property = static_cast<std::uint32_t>(kernel::mailbox::tag::get_videocore_memory);
    if (kernel::ioctl(node.get(), kernel::mailbox::property, &question) != 0 ||
        question.code != kernel::mailbox::answered) {
        return std::nullopt;
    }
    return question.values[1];
}

} // namespace

examination examine() {
    examination found;
    const device::board here = device::this_board();
    found.raspberry_pi = here.is_raspberry_pi;
    found.board = here.model;
    found.kernel = first_line(text_of("/proc/sys/kernel/osrelease"));
    found.program_bits = 8 * sizeof(void*);
    found.page_size = kernel::page_size();

    const detail::names users = detail::parse_names(text_of("/etc/passwd"));
    const detail::names groups = detail::parse_names(text_of("/etc/group"));
    const detail::identity me = detail::parse_identity(text_of("/proc/thread-self/status"));
    found.user = detail::name_of(users, me.user);
    for (const std::uint32_t group : me.groups) {
        found.groups.push_back(detail::name_of(groups, group));
    }
    for (const std::string& path : node_paths()) {
        found.nodes.push_back(look_at(path, users, groups));
    }
    const std::string meminfo = text_of("/proc/meminfo");
    found.contiguous_total = kernel::meminfo_bytes(meminfo, "CmaTotal");
    found.contiguous_free = kernel::meminfo_bytes(meminfo, "CmaFree");
    if (found.contiguous_free) {
        found.largest_block = largest_contiguous(*found.contiguous_free);
    }
    found.gpu_memory = memory_of_gpu();
    found.devices = device::survey({});
    for (const device_info& each : found.devices) {
        if (each.chosen && each.usable) {
            found.device = each.name;
        }
    }
    found.complaints = detail::complaints_about(found);
    return found;
}

} // namespace vcsm
