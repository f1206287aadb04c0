#include "doctor.hpp"

#include "kernel/dma_heap.hpp"
#include "kernel/mailbox.hpp"
#include "kernel/proc_text.hpp"
#include "kernel/udmabuf.hpp"
#include "kernel/vcsm_cma.hpp"
#include "kernel/vcsm_legacy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace vcsm::detail {

names parse_names(std::string_view text) {
    names found;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        // name:password:number:…
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
        if (second == std::string_view::npos || first == 0) {
            continue;
        }
        const std::string_view rest = line.substr(second + 1);
        const auto number = kernel::parse_number(rest.substr(0, rest.find(':')));
        if (number && *number <= UINT32_MAX) {
            found.emplace(static_cast<std::uint32_t>(*number), line.substr(0, first));
        }
    }
    return found;
}

std::string name_of(const names& known, std::uint32_t number) {
    const auto found = known.find(number);
    return found == known.end() ? std::to_string(number) : found->second;
}

namespace {

std::vector<std::uint32_t> numbers_in(std::string_view text) {
    std::vector<std::uint32_t> numbers;
    while (!text.empty()) {
        const std::size_t first = text.find_first_not_of(" \t");
        if (first == std::string_view::npos) {
            break;
        }
        text.remove_prefix(first);
        const std::string_view word = text.substr(0, text.find_first_of(" \t"));
        text.remove_prefix(word.size());
        const auto number = kernel::parse_number(word);
        if (number && *number <= UINT32_MAX) {
            numbers.push_back(static_cast<std::uint32_t>(*number));
        }
    }
    return numbers;
}

const node_info* find_node(const examination& found, std::string_view path) {
    const auto node =
        std::find_if(found.nodes.begin(), found.nodes.end(), [&](const node_info& each) { return each.path == path; });
    return node == found.nodes.end() ? nullptr : &*node;
}

bool is_heap(const node_info& node) {
    return node.path.rfind(kernel::dma_heap::directory, 0) == 0;
}

/// Whether an ordinary user should be able to open it: /dev/vcio's memory is root's for good reason.
bool is_for_users(const node_info& node) {
    return node.path != kernel::mailbox::node;
}

struct rule {
    std::string_view line;
    std::string_view group;
};

/// As in the udev rules that are installed with the library.
rule rule_for(const node_info& node) {
    if (is_heap(node)) {
        return {R"(SUBSYSTEM=="dma_heap", GROUP="video", MODE="0660")", "video"};
    }
    if (node.path == kernel::vcsm_cma::node) {
        return {R"(KERNEL=="vcsm-cma", MODE="0666")", {}};
    }
    if (node.path == kernel::vcsm_legacy::node) {
        return {R"(KERNEL=="vcsm", GROUP="video", MODE="0660")", "video"};
    }
    if (node.path == kernel::udmabuf::node) {
        return {R"(KERNEL=="udmabuf", GROUP="video", MODE="0660")", "video"};
    }
    return {R"(SUBSYSTEM=="drm", KERNEL=="renderD*", GROUP="render", MODE="0660")", "render"};
}

constexpr const char* log_in_again = ", then log in again";

complaint about_closed(const node_info& node, const examination& found) {
    complaint one;
    one.what = found.user + " may not open " + node.path + " (" + node.owner + ":" + node.group + ", mode " +
               std::to_string(node.mode / 64 % 8) + std::to_string(node.mode / 8 % 8) + std::to_string(node.mode % 8) +
               ")";
    const bool groups_own = node.group != "root" && (node.mode & 060) == 060;
    const bool in_group = std::find(found.groups.begin(), found.groups.end(), node.group) != found.groups.end();
    if (groups_own && !in_group) {
        one.mend = "sudo usermod -aG " + node.group + " " + found.user + log_in_again;
    } else {
        const rule fit = rule_for(node);
        one.mend = "echo '" + std::string{fit.line} +
                   "' | sudo tee -a /etc/udev/rules.d/60-vcsm.rules && sudo udevadm control "
                   "--reload && sudo udevadm trigger";
        if (!fit.group.empty() &&
            std::find(found.groups.begin(), found.groups.end(), fit.group) == found.groups.end()) {
            one.mend += "; sudo usermod -aG " + std::string{fit.group} + " " + found.user + log_in_again;
        }
    }
    return one;
}

void add_missing_devices(const examination& found, std::vector<complaint>& all) {
    if (!found.raspberry_pi || !found.device.empty()) {
        return;
    }
    const bool any = std::any_of(found.nodes.begin(), found.nodes.end(), [](const node_info& each) {
        return each.there &&
               (each.path == kernel::vcsm_cma::node || each.path == kernel::vcsm_legacy::node || is_heap(each));
    });
    if (!any) {
        all.push_back({"this kernel has neither /dev/vcsm-cma nor /dev/dma_heap",
                       "sudo modprobe vc-sm-cma; or boot Raspberry Pi OS's own kernel (sudo apt install --reinstall "
                       "linux-image-rpi-v8, and reboot)"});
    }
}

void add_contiguous_memory(const examination& found, std::vector<complaint>& all) {
    constexpr std::uint64_t little = std::uint64_t{16} << 20; // an uncompressed frame of 12 megapixels has 18 MiB
    if (!found.raspberry_pi) {
        return;
    }
    if (!found.contiguous_total || *found.contiguous_total == 0) {
        all.push_back({"there is no contiguous memory (CMA)",
                       "add dtoverlay=cma,cma-256 to /boot/firmware/config.txt, or cma=256M to the kernel's command "
                       "line in /boot/firmware/cmdline.txt, and reboot"});
        return;
    }
    const std::uint64_t can_be_had = found.largest_block.value_or(found.contiguous_free.value_or(0));
    if (can_be_had < little) {
        all.push_back({"the largest contiguous block that can be had now has " + std::to_string(can_be_had) +
                           " bytes: " + std::to_string(found.contiguous_free.value_or(0)) + " of " +
                           std::to_string(*found.contiguous_total) + " bytes are free",
                       "end what holds it (sudo vcsm list); or dtoverlay=cma,cma-512 in /boot/firmware/config.txt "
                       "(cma=512M on the kernel's command line), and reboot"});
    }
}

void add_uncached_blocks(const examination& found, std::vector<complaint>& all) {
    const auto cma = std::find_if(found.devices.begin(), found.devices.end(),
                                  [](const device_info& each) { return each.name == "vcsm-cma"; });
    if (cma != found.devices.end() && cma->usable && !cma->host_cache) {
        const bool closed = std::any_of(found.nodes.begin(), found.nodes.end(), [](const node_info& each) {
            return is_heap(each) && each.there && !each.can_be_opened;
        });
        if (!closed) { // else it is said there
            all.push_back({"no contiguous heap in /dev/dma_heap: blocks on vcsm-cma cannot be cached by the CPU, and "
                           "reading them is slow",
                           "boot a kernel with CONFIG_DMABUF_HEAPS_CMA, such as Raspberry Pi OS's own"});
        }
    }
}

void add_wide_program(const examination& found, std::vector<complaint>& all) {
    const node_info* const legacy = find_node(found, kernel::vcsm_legacy::node);
    const node_info* const cma = find_node(found, kernel::vcsm_cma::node);
    if (legacy != nullptr && legacy->there && (cma == nullptr || !cma->there) && found.program_bits != 32) {
        all.push_back(
            {"/dev/vcsm serves 32-bit programs alone, and this one has " + std::to_string(found.program_bits) + " bits",
             "build vcsm for 32 bits (armhf), or boot a kernel that has /dev/vcsm-cma (5.10 or later)"});
    }
}

void add_what_was_asked_for(const examination& found, std::vector<complaint>& all) {
    const char* const wanted = ::secure_getenv("VCSM_DEVICE");
    if (wanted != nullptr && *wanted != '\0' && found.device.empty()) {
        all.push_back({"VCSM_DEVICE asks for " + std::string{wanted} + ", which cannot be used",
                       "unset VCSM_DEVICE, or set it to one of the devices that can"});
    }
}

} // namespace

identity parse_identity(std::string_view text) {
    identity me;
    const std::vector<std::uint32_t> users = numbers_in(kernel::value_of(text, "Uid")); // real, effective, …
    const std::vector<std::uint32_t> own_groups = numbers_in(kernel::value_of(text, "Gid"));
    if (users.size() > 1) {
        me.user = users[1];
    }
    if (own_groups.size() > 1) {
        me.groups.push_back(own_groups[1]);
    }
    for (const std::uint32_t group : numbers_in(kernel::value_of(text, "Groups"))) {
        if (std::find(me.groups.begin(), me.groups.end(), group) == me.groups.end()) {
            me.groups.push_back(group);
        }
    }
    return me;
}

std::vector<complaint> complaints_about(const examination& found) {
    std::vector<complaint> all;
    add_what_was_asked_for(found, all);
    add_missing_devices(found, all);
    for (const node_info& each : found.nodes) {
        if (!each.there || each.can_be_opened || !is_for_users(each)) {
            continue;
        }
        if (each.why_not == EACCES || each.why_not == EPERM) {
            all.push_back(about_closed(each, found));
        } else {
            all.push_back({each.path + " cannot be opened: " + std::generic_category().message(each.why_not),
                           each.why_not == EBUSY ? "end the program that holds it (sudo fuser -v " + each.path + ")"
                                                 : "see what the driver says (sudo dmesg | tail), and reboot"});
        }
    }
    add_wide_program(found, all);
    add_contiguous_memory(found, all);
    add_uncached_blocks(found, all);
    return all;
}

} // namespace vcsm::detail
