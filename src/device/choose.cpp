#include "device/choose.hpp"

#include "device/board.hpp"
#include "device/dma_heap.hpp"
#include "device/mailbox.hpp"
#include "device/simulated.hpp"
#include "device/udmabuf.hpp"
#include "device/v3d.hpp"
#include "device/vcsm_cma.hpp"
#include "device/vcsm_legacy.hpp"
#include "kernel/dma_heap.hpp"
#include "kernel/drm.hpp"
#include "kernel/mailbox.hpp"
#include "kernel/udmabuf.hpp"
#include "kernel/vcsm_cma.hpp"
#include "kernel/vcsm_legacy.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#include <unistd.h>

namespace vcsm::device {

namespace {

constexpr std::string_view known_devices = "vcsm-cma, vcsm, dma-heap[:HEAP], udmabuf, mailbox, v3d and simulated";
constexpr std::string_view dma_heap_name = "dma-heap";

struct candidate {
    std::string_view name;
    const char* node;
    std::unique_ptr<device> (*open)();
    /// Why it is never taken on its own account; empty for those that a Raspberry Pi tries, in this order.
    std::string_view only_by_name;
};

constexpr std::array candidates{
    // VideoCore knows its blocks by handle, and every kernel since 5.10 has it; older ones beside the next.
    candidate{"vcsm-cma", kernel::vcsm_cma::node, open_vcsm_cma, {}},
    // The one way to VideoCore's handles before, for 32-bit programs, with memory of the GPU's part.
    candidate{"vcsm", kernel::vcsm_legacy::node, [] { return open_vcsm_legacy(); }, {}},
    // No VideoCore service on a Pi 5: camera, codecs and display take dma-bufs.
    candidate{dma_heap_name, kernel::dma_heap::directory, [] { return open_dma_heap(std::nullopt); }, {}},
    // Pages from anywhere, which no VideoCore of Pi 0 to 4 reads.
    candidate{"udmabuf", kernel::udmabuf::node, open_udmabuf, "its memory is not contiguous: used only by name"},
    // Root's, and the firmware keeps what a killed program held.
    candidate{"mailbox", kernel::mailbox::node, open_mailbox,
              "a killed program's memory stays taken until the next start of the board: used only by name"},
    // Buffers of the 3D engine, which neither camera nor codecs know.
    candidate{"v3d", kernel::drm::directory, open_v3d, "its memory is the 3D engine's: used only by name"},
};

std::unique_ptr<device> open_heap_of(std::string_view name) {
    const std::string_view heap_name = name.substr(dma_heap_name.size() + 1);
    if (heap_name.empty() || heap_name.find('/') != std::string_view::npos || heap_name[0] == '.') {
        throw std::invalid_argument{"\"" + std::string{heap_name} + "\" is no name of a heap: they are listed in " +
                                    kernel::dma_heap::directory};
    }
    return open_dma_heap(heap_name);
}

bool names_a_heap(std::string_view name) {
    return name.rfind(std::string{dma_heap_name} + ":", 0) == 0;
}

void say_simulated_once() noexcept {
    static std::atomic<bool> said{false};
    if (!said.exchange(true)) {
        constexpr std::string_view line = "vcsm: this is no Raspberry Pi: using the simulated VideoCore "
                                          "(VCSM_DEVICE=simulated says that you know)\n";
        (void)kernel::system().write(STDERR_FILENO, line.data(), line.size());
    }
}

/// What `choose` does on a Raspberry Pi: never the simulation, which would look like success.
std::shared_ptr<device> open_first(const board& here) {
    std::string reasons;
    int value = ENOENT;
    bool may_not = false;
    for (const candidate& each : candidates) {
        if (!each.only_by_name.empty()) {
            continue;
        }
        try {
            return each.open();
        } catch (const error& refused) {
            const int why = refused.code().value();
            reasons +=
                (reasons.empty() ? "" : ", ") + std::string{each.name} + ": " + std::generic_category().message(why);
            if (!may_not && why != ENOENT && why != ENOTSUP) {
                value = why;
            }
            may_not = may_not || why == EACCES || why == EPERM;
        }
    }
    failure about;
    about.operation = "open a device of this " + (here.model.empty() ? std::string{"Raspberry Pi"} : here.model);
    about.remedy = reasons +
                   (may_not ? "; add the user to group video (sudo usermod -aG video $USER, then log in again)"
                            : "; boot Raspberry Pi OS's own kernel, which has the drivers") +
                   ", or ask `vcsm doctor`; VCSM_DEVICE=simulated does without the hardware";
    throw error{value, std::move(about)};
}

device_info info_of(std::string name, std::string node) {
    device_info info;
    info.name = std::move(name);
    info.node = std::move(node);
    return info;
}

template <class Open>
device_info tried(device_info info, Open&& open_it) {
    try {
        const auto opened = open_it();
        const capabilities gives = opened->gives();
        info.usable = true;
        info.videocore_handle = gives.videocore_handle;
        info.bus_address = gives.bus_address;
        info.dmabuf = gives.dmabuf;
        info.host_cache = gives.host_cache;
        info.max_bytes = opened->max_bytes();
    } catch (const error& refused) {
        info.why = refused.what();
    }
    return info;
}

/// The heaps that there are: those that would be chosen first, in that order.
std::vector<std::string> heaps_here() {
    std::vector<std::string> here;
    try {
        here = kernel::list_directory(kernel::dma_heap::directory);
    } catch (const std::system_error&) {
        return {};
    }
    const auto rank = [](const std::string& name) { return std::find(all_heaps.begin(), all_heaps.end(), name); };
    std::stable_sort(here.begin(), here.end(),
                     [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
    return here;
}

device_info simulated_info() {
    device_info info = info_of(std::string{simulated_name}, {});
    info.usable = true;
    info.videocore_handle = simulated_gives.videocore_handle;
    info.bus_address = simulated_gives.bus_address;
    info.dmabuf = simulated_gives.dmabuf;
    info.host_cache = simulated_gives.host_cache;
    info.max_bytes = simulated_max_bytes;
    return info;
}

/// What VCSM_DEVICE says; empty where it says nothing.
std::string wanted_device() {
    const char* const wanted = ::secure_getenv("VCSM_DEVICE");
    return wanted == nullptr ? std::string{} : std::string{wanted};
}

} // namespace

std::shared_ptr<device> open(std::string_view name) {
    if (name == simulated_name) {
        return open_simulated();
    }
    if (names_a_heap(name)) {
        return open_heap_of(name);
    }
    for (const candidate& each : candidates) {
        if (each.name == name) {
            return each.open();
        }
    }
    throw std::invalid_argument{"unknown device \"" + std::string{name} + "\": known are " +
                                std::string{known_devices}};
}

std::shared_ptr<device> choose() {
    if (const std::string wanted = wanted_device(); !wanted.empty()) {
        try {
            return open(wanted);
        } catch (const std::invalid_argument& unknown) {
            failure about;
            about.operation = "use what VCSM_DEVICE says";
            about.remedy = unknown.what();
            throw error{ENODEV, std::move(about)};
        }
    }
    if (const board here = this_board(); here.is_raspberry_pi) {
        return open_first(here);
    }
    auto chosen = open_simulated();
    say_simulated_once();
    return chosen;
}

std::vector<device_info> survey(std::string_view open) {
    std::vector<device_info> all;
    const bool raspberry_pi = this_board().is_raspberry_pi;
    std::vector<bool> by_itself; // whether it would be taken without being named
    for (const candidate& each : candidates) {
        std::vector<std::string> heaps;
        if (each.name == dma_heap_name) {
            heaps = heaps_here();
        }
        for (const std::string& heap : heaps) {
            const std::string name = std::string{dma_heap_name} + ":" + heap;
            all.push_back(
                tried(info_of(name, std::string{each.node} + "/" + heap), [&name] { return open_heap_of(name); }));
            by_itself.push_back(raspberry_pi && std::find(all_heaps.begin(), all_heaps.end(), heap) != all_heaps.end());
        }
        if (heaps.empty()) {
            all.push_back(tried(info_of(std::string{each.name}, each.node), each.open));
            by_itself.push_back(raspberry_pi && each.only_by_name.empty());
            if (all.back().usable) {
                all.back().why = each.only_by_name;
            }
        }
    }
    all.push_back(simulated_info());
    by_itself.push_back(!raspberry_pi);

    const std::string named = open.empty() ? wanted_device() : std::string{open};
    for (std::size_t i = 0; i != all.size(); ++i) {
        const bool is_it = named.empty() ? all[i].usable && by_itself[i]
                                         : all[i].name == named ||
                                               (named == dma_heap_name && names_a_heap(all[i].name) && all[i].usable);
        if (is_it) {
            all[i].chosen = true;
            break;
        }
    }
    device_info& simulated = all.back();
    if (raspberry_pi && !simulated.chosen) {
        simulated.why = "on a Raspberry Pi it is used only by name";
    }
    return all;
}

} // namespace vcsm::device
