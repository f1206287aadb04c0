// What is read from the answered files.
#include "simulation.hpp"

#include "board.hpp"
#include "nodes/vcio.hpp"
#include "nodes/vcsm_legacy.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

#include <fcntl.h>
#include <sys/mman.h>

namespace vcsm::sim {

namespace {

std::string line_in_kibibytes(const char* label, std::size_t bytes) {
    std::array<char, 64> line{};
    std::snprintf(line.data(), line.size(), "%-15s %8zu kB\n", label, bytes / 1024);
    return line.data();
}

std::string memory_information(const videocore::room& room) {
    std::istringstream real{kernel::read_text("/proc/meminfo")};
    std::string text;
    std::string line;
    while (std::getline(real, line)) {
        if (line.compare(0, 3, "Cma") != 0) {
            text += line + '\n';
        }
    }
    return text + line_in_kibibytes("CmaTotal:", room.total) + line_in_kibibytes("CmaFree:", room.free);
}

/// A kernel address as %p shows it: a number that tells objects apart and nothing else.
std::string pointer(std::uint64_t object, unsigned which) {
    constexpr std::uint64_t mixer = 0x9e3779b97f4a7c15;
    std::array<char, 20> text{};
    std::snprintf(text.data(), text.size(), "%016llx",
                  static_cast<unsigned long long>(((object * 8 + which + 1) * mixer) >> 32));
    return text.data();
}

std::string cma_state(const simulation& all) {
    std::string text = "\nVC-ServiceHandle     " + pointer(0, 0) + "\n\nResources\n";
    unsigned count = 0;
    std::vector<videocore::block_state> blocks = all.memory->list();
    std::reverse(blocks.begin(), blocks.end()); // the driver's list has the newest first
    for (const videocore::block_state& each : blocks) {
        const std::uint64_t handle = each.videocore_handle;
        if ((all.mailbox && all.mailbox->owns(each.videocore_handle)) ||
            (all.legacy && all.legacy->owns(each.videocore_handle))) {
            continue; // the firmware's and the other driver's
        }
        bool imported = false;
        for (const auto& [id, which] : all.buffers.all()) {
            imported = imported || (which->videocore_handle() == handle && which->source);
        }
        std::array<char, 32> number{};
        text += "\nResource                " + pointer(handle, 1);
        text += "\n           NAME         " + each.name;
        text += "\n           SIZE         " + std::to_string(each.capacity);
        text += "\n           DMABUF       " + (each.allocated ? pointer(handle, 2) : std::string(16, '0'));
        text += imported ? "\n           ATTACH       " + pointer(handle, 3) : "";
        text += "\n           SGT          " + pointer(handle, 4);
        std::snprintf(number.data(), number.size(), "0x%016llx", static_cast<unsigned long long>(each.bus_address));
        text += std::string{"\n           DMA_ADDR     "} + number.data();
        std::snprintf(number.data(), number.size(), "%08x", each.videocore_handle);
        text += std::string{"\n           VC_HANDLE     "} + number.data();
        text += std::string{"\n           VC_MAPPING    "} + (each.allocated ? "1" : "2") + "\n";
        ++count;
    }
    return text + "\n\nTotal resource count:   " + std::to_string(count) + "\n\n";
}

} // namespace

std::string text_for(simulation& all, text_file which) {
    const board& model = *all.chosen.model;
    switch (which) {
    case text_file::meminfo:
        all.notice_what_is_gone();
        return memory_information(all.memory->room());
    case text_file::compatible:
        return {model.compatible, model.compatible_bytes};
    case text_file::model:
        return std::string{model.description} + '\0';
    case text_file::revision: { // big-endian, as all numbers in a device tree
        std::string text;
        for (int shift = 24; shift >= 0; shift -= 8) {
            text += static_cast<char>((model.revision >> shift) & 0xff);
        }
        return text;
    }
    case text_file::cma_state:
        all.notice_what_is_gone();
        return cma_state(all);
    }
    return {};
}

std::string information_on(const target& who, int descriptor, const buffer& which) {
    const std::string real = text_of("/proc/" + std::to_string(who.thread()) + "/fdinfo/" + std::to_string(descriptor));
    std::istringstream lines{real};
    std::string text = "pos:\t0\n";
    std::string line;
    while (std::getline(lines, line)) {
        if (line.compare(0, 7, "flags:\t") == 0) {
            const unsigned long flags = std::strtoul(line.c_str() + 7, nullptr, 8);
            constexpr unsigned long kernel_large_file = 0100000; // O_LARGEFILE is 0 to 64-bit programs
            std::array<char, 32> shown{};
            std::snprintf(shown.data(), shown.size(), "flags:\t0%lo\n", flags & ~kernel_large_file);
            text += shown.data();
        } else if (line.compare(0, 8, "mnt_id:\t") == 0 || line.compare(0, 5, "ino:\t") == 0) {
            text += line + '\n';
        }
    }
    text += "size:\t" + std::to_string(which.bytes) + "\ncount:\t" + std::to_string(1 + which.attached) +
            "\nexp_name:\t" + which.exporter + '\n';
    return which.name.empty() ? text : text + "name:\t" + which.name + '\n';
}

kernel::unique_fd file_with(const std::string& name, const std::string& text) {
    const kernel::unique_fd made{::memfd_create(name.c_str(), MFD_CLOEXEC)};
    if (!made) {
        kernel::throw_errno("memfd_create");
    }
    kernel::write_all(made.get(), std::as_bytes(std::span{text.data(), text.size()}));
    return kernel::open("/proc/self/fd/" + std::to_string(made.get()), O_RDONLY);
}

} // namespace vcsm::sim
