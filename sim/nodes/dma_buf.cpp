// What a block's own descriptor answers.
#include "kernel/dma_buf.hpp"

#include "kernel/vcsm_cma.hpp"
#include "simulation.hpp"

#include <cerrno>
#include <cstring>

namespace vcsm::sim {

namespace {

/// Whether the driver of /dev/vcsm-cma made the memory itself.
bool is_allocated_by_driver(const buffer& which) {
    return !which.source && which.exporter == kernel::vcsm_cma::exporter;
}

std::string flag_text(std::uint64_t flags) {
    std::string text = (flags & DMA_BUF_SYNC_END) != 0 ? "DMA_BUF_SYNC_END" : "DMA_BUF_SYNC_START";
    text += (flags & DMA_BUF_SYNC_READ) != 0 ? "|DMA_BUF_SYNC_READ" : "";
    text += (flags & DMA_BUF_SYNC_WRITE) != 0 ? "|DMA_BUF_SYNC_WRITE" : "";
    const std::uint64_t rest = flags & ~std::uint64_t{DMA_BUF_SYNC_VALID_FLAGS_MASK};
    return rest != 0 ? text + '|' + hexadecimal(rest) : text;
}

answer synchronise(simulation& all, const request& asked, const buffer& which) {
    ++all.report.calls["DMA_BUF_IOCTL_SYNC"];
    struct dma_buf_sync wanted {};
    if (!asked.who.get(asked.arguments[2], wanted)) {
        all.trace.call("ioctl(" + std::to_string(asked.descriptor(0)) + ", DMA_BUF_IOCTL_SYNC, bad address)");
        return answer::failure(EFAULT);
    }
    if (all.trace.wanted()) {
        all.trace.call("ioctl(" + std::to_string(asked.descriptor(0)) +
                       ", DMA_BUF_IOCTL_SYNC, {flags=" + flag_text(wanted.flags) + "})");
    }
    if ((wanted.flags & ~std::uint64_t{DMA_BUF_SYNC_VALID_FLAGS_MASK}) != 0 || (wanted.flags & DMA_BUF_SYNC_RW) == 0) {
        return answer::failure(EINVAL);
    }
    for (const buffer* at = &which; at != nullptr; at = at->source.get()) {
        if (is_allocated_by_driver(*at) && at->attached > 0) {
            return all.crash(asked, "DMA_BUF_IOCTL_SYNC",
                             "a block made by VC_SM_CMA_IOCTL_MEM_ALLOC to which an import is attached");
        }
    }
    if (const int fault = all.fault(videocore::operation::sync, asked)) {
        return answer::failure(fault);
    }
    if ((wanted.flags & DMA_BUF_SYNC_END) == 0) {
        which.memory->begin_access((wanted.flags & DMA_BUF_SYNC_READ) != 0);
    } else {
        which.memory->end_access((wanted.flags & DMA_BUF_SYNC_WRITE) != 0);
    }
    return answer::success();
}

answer set_name(simulation& all, const request& asked, buffer& which) {
    ++all.report.calls["DMA_BUF_SET_NAME"];
    std::string name;
    const int error = asked.who.read_text(asked.arguments[2], name, DMA_BUF_NAME_LEN);
    all.trace.call("ioctl(" + std::to_string(asked.descriptor(0)) + ", DMA_BUF_SET_NAME, " + quoted(name) + ")");
    if (error != 0) {
        return answer::failure(error == EFAULT ? EFAULT : EINVAL);
    }
    if (which.label.empty()) {
        which.label = name;
    }
    which.name = std::move(name);
    return answer::success();
}

} // namespace

answer dma_buf_ioctl(simulation& all, const request& asked, const std::shared_ptr<buffer>& which) {
    switch (asked.word(1)) {
    case kernel::dma_buf::sync:
        return synchronise(all, asked, *which);
    case kernel::dma_buf::set_name_a:
    case kernel::dma_buf::set_name_b:
        return set_name(all, asked, *which);
    default:
        return answer::failure(ENOTTY);
    }
}

} // namespace vcsm::sim
