#include "device/report.hpp"

#include "kernel/proc_text.hpp"
#include "kernel/syscalls.hpp"

namespace vcsm::device {

namespace {

std::string meminfo() {
    try {
        return kernel::read_text("/proc/meminfo");
    } catch (const std::exception&) {
        return {}; // an addition to a message: it must not take the message's place
    }
}

} // namespace

void fail(int errno_value, const about& what, std::string remedy) {
    failure all;
    all.operation = what.operation;
    all.device = what.device;
    all.block = what.block;
    all.bytes = what.bytes;
    all.remedy = std::move(remedy);
    throw_error(errno_value, std::move(all));
}

std::string free_contiguous_memory() {
    const std::string text = meminfo();
    const auto free = kernel::meminfo_bytes(text, "CmaFree");
    const auto total = kernel::meminfo_bytes(text, "CmaTotal");
    if (!free || !total) {
        return {};
    }
    return std::to_string(*free) + " of " + std::to_string(*total) +
           " bytes of contiguous memory (CMA) are free, perhaps not in one piece: free blocks, or enlarge it with cma= "
           "on the kernel's command line";
}

std::optional<std::uint64_t> available_memory() {
    return kernel::meminfo_bytes(meminfo(), "MemAvailable");
}

std::string free_memory() {
    const auto free = available_memory();
    return free ? std::to_string(*free) + " bytes of memory are available: free blocks" : std::string{};
}

} // namespace vcsm::device
