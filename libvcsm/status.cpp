#include "status.hpp"

#include "kernel/proc_text.hpp"
#include "kernel/syscalls.hpp"
#include "service.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <unistd.h>

namespace vcsm::c {

namespace {

std::string hexadecimal(std::uint64_t number) {
    std::string digits;
    do {
        digits.insert(digits.begin(), "0123456789abcdef"[number & 0xfU]);
        number >>= 4U;
    } while (number != 0);
    return "0x" + digits;
}

bool is_own(const std::string& process) {
    return process == std::to_string(::getpid());
}

/// What this process knows of its own blocks.
std::string own_blocks() {
    std::string text;
    for (const block_info& block : blocks()) {
        text += "  handle " + std::to_string(block.handle) + ", \"" + block.name + "\", " + std::to_string(block.size) +
                " of " + std::to_string(block.capacity) + " bytes, device " + block.device + ", cache " +
                std::string{to_string(block.cache)} + ", locks " + std::to_string(block.locks);
        if (block.videocore_handle) {
            text += ", VideoCore handle " + std::to_string(*block.videocore_handle);
        }
        if (block.bus_address) {
            text += ", bus address " + hexadecimal(*block.bus_address);
        }
        text += '\n';
    }
    return text;
}

/// What /proc says, or nothing: processes end, and not all may be looked at.
std::vector<std::string> names_in(const std::string& directory) {
    try {
        return kernel::list_directory(directory);
    } catch (const std::system_error&) {
        return {};
    }
}

std::string text_in(const std::string& file) {
    try {
        return kernel::read_text(file);
    } catch (const std::system_error&) {
        return {};
    }
}

/// The dma-bufs that another process has open, as /proc tells of them.
std::string dma_bufs_of(const std::string& process) {
    const std::string directory = "/proc/" + process + "/fdinfo";
    std::string text;
    for (const std::string& descriptor : names_in(directory)) {
        const kernel::fdinfo_text said = kernel::parse_fdinfo(text_in(directory + "/" + descriptor));
        if (!said.exporter.empty()) {
            text += "  descriptor " + descriptor + ", \"" + said.name + "\", " + std::to_string(said.size.value_or(0)) +
                    " bytes, from " + said.exporter + "\n";
        }
    }
    return text;
}

std::string own_mappings() {
    std::string text;
    for (const block_info& block : blocks()) {
        const auto* const address = detail::service::instance().handles().address_of(block.handle);
        if (address != nullptr) {
            text += "  " + hexadecimal(reinterpret_cast<std::uintptr_t>(address)) + ", " +
                    std::to_string(block.capacity) + " bytes, handle " + std::to_string(block.handle) + ", \"" +
                    block.name + "\"\n";
        }
    }
    return text;
}

std::string dma_buf_mappings_of(const std::string& process) {
    std::string text;
    std::istringstream maps{text_in("/proc/" + process + "/maps")};
    for (std::string line; std::getline(maps, line);) {
        if (line.find("/dmabuf") != std::string::npos) {
            text += "  " + line + "\n";
        }
    }
    return text;
}

std::string section(const std::string& process, bool mappings) {
    const std::string text = mappings ? (is_own(process) ? own_mappings() : dma_buf_mappings_of(process))
                                      : (is_own(process) ? own_blocks() : dma_bufs_of(process));
    return text.empty() ? text : (mappings ? "mappings of process " : "blocks of process ") + process + ":\n" + text;
}

std::string of_all(bool mappings) {
    std::string text;
    for (const std::string& name : names_in("/proc")) {
        if (name.find_first_not_of("0123456789") == std::string::npos) {
            text += section(name, mappings);
        }
    }
    if (text.empty()) {
        text = mappings ? "no mappings\n" : "no blocks\n";
    }
    return text;
}

std::string of_one(int pid, bool mappings) {
    const std::string process = std::to_string(pid == -1 ? ::getpid() : pid);
    try {
        (void)kernel::list_directory("/proc/" + process);
    } catch (const std::system_error&) {
        throw std::system_error{ESRCH, std::generic_category(), "cannot look at process " + process};
    }
    const std::string text = section(process, mappings);
    return text.empty() ? (mappings ? "no mappings of process " : "no blocks of process ") + process + "\n" : text;
}

std::string text_of(VCSM_STATUS_T status, int pid) {
    switch (static_cast<int>(status)) {
    case VCSM_STATUS_VC_WALK_ALLOC:
        return of_all(false);
    case VCSM_STATUS_HOST_WALK_MAP:
        return of_all(true);
    case VCSM_STATUS_HOST_WALK_PID_MAP:
        return of_one(pid, true);
    case VCSM_STATUS_HOST_WALK_PID_ALLOC:
        return of_one(pid, false);
    case VCSM_STATUS_VC_MAP_ALL:
        return of_all(false) + of_all(true);
    case VCSM_STATUS_NONE:
        return {};
    default:
        throw std::invalid_argument{std::to_string(static_cast<int>(status)) + " is no status: those are 0 to 5"};
    }
}

} // namespace

void print_status(VCSM_STATUS_T status, int pid) {
    const std::string text = text_of(status, pid);
    std::fwrite(text.data(), 1, text.size(), stderr);
}

} // namespace vcsm::c
