// /dev/vcsm-cma, as its driver answers.
#include "kernel/vcsm_cma.hpp"

#include "simulation.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>

#include <sys/stat.h>

namespace vcsm::sim {

namespace {

namespace cma = kernel::vcsm_cma;

std::string text_in(const std::uint8_t (&field)[cma::name_bytes + 1]) {
    const auto* const end = std::find(std::begin(field), std::end(field) - 1, std::uint8_t{0});
    return {std::begin(field), end};
}

/// How many imports lie on top of one another in it.
unsigned depth_of(const buffer& which) {
    unsigned depth = 0;
    for (const buffer* at = &which; at->source; at = at->source.get()) {
        ++depth;
    }
    return depth;
}

const buffer& root_of(const buffer& which) {
    const buffer* at = &which;
    while (at->source) {
        at = at->source.get();
    }
    return *at;
}

answer allocate(simulation& all, const request& asked) {
    const std::uint64_t address = asked.arguments[2];
    cma::alloc wanted{};
    if (!asked.who.get(address, wanted)) {
        return answer::failure(EFAULT);
    }
    const std::string given_name = text_in(wanted.name);
    if (all.trace.wanted()) {
        all.trace.call("ioctl(" + std::to_string(asked.descriptor(0)) + ", VC_SM_CMA_IOCTL_MEM_ALLOC, {size=" +
                       std::to_string(wanted.size) + ", num=" + std::to_string(wanted.num) +
                       ", cached=" + std::to_string(wanted.cached) + ", name=" + quoted(given_name) + "})");
    }
    if (const int fault = all.fault(videocore::operation::alloc, asked)) {
        return answer::failure(fault);
    }
    const auto page = static_cast<std::uint32_t>(kernel::page_size());
    if (wanted.size == 0 || wanted.size + (page - 1) < wanted.size) {
        return answer::failure(EINVAL); // rounded up to pages in 32 bits it is 0
    }
    const std::string name = given_name.empty() ? cma::default_name : given_name;
    const videocore::block::description described{wanted.size, name, cache_mode::none, page};
    std::shared_ptr<videocore::block> memory;
    try {
        memory = all.memory->allocate(described);
    } catch (const std::system_error&) {
        all.notice_what_is_gone(true);
        memory = all.memory->allocate(described);
    }
    all.measure();
    if (!asked.who.put(address, wanted)) {
        if (!all.listener->waits(asked.id)) { // killed meanwhile: a real driver's block goes with the process
            all.memory->free(memory);         // NOLINT(clang-analyzer-unix.Malloc): the model's, not the C library's
            return answer::failure(EFAULT);
        }
        // The driver has its block before it finds that it cannot say so. Nobody can free it any more.
        all.report.leaks.push_back(all.about(asked, "VC_SM_CMA_IOCTL_MEM_ALLOC", "its struct is in read-only memory"));
        all.report.leaks.back().bytes = wanted.size;
        all.report.leaks.back().name = name;
        all.report.leaks.back().videocore_handle = memory->videocore_handle();
        return answer::failure(EFAULT);
    }
    ::fchmod(memory->bytes().cpu_memfd(), 0600);
    buffer described_buffer;
    described_buffer.memory = memory;
    described_buffer.exporter = cma::exporter;
    described_buffer.label = name;
    described_buffer.bytes = memory->capacity();
    described_buffer.call = "VC_SM_CMA_IOCTL_MEM_ALLOC";
    buffers::made made = all.add_buffer(asked, std::move(described_buffer), O_RDWR);
    const int number = all.listener->give(asked.id, made.file.get(), true, false);
    if (number < 0) {
        all.buffers.cancel(made.which);
        if (number == -EMFILE) {
            all.report.kernel_crashes.push_back(all.about(asked, "VC_SM_CMA_IOCTL_MEM_ALLOC",
                                                          "the process has no free descriptor; the driver returns 0 "
                                                          "without a handle, then frees the block twice"));
        }
        return answer::success(); // without having written `handle`
    }
    wanted.handle = number;
    wanted.vc_handle = memory->videocore_handle();
    wanted.dma_addr = memory->bus_address();
    (void)asked.who.put(address, wanted);
    if (all.trace.wanted()) {
        all.trace.also("{handle=" + std::to_string(number) + ", vc_handle=" + std::to_string(wanted.vc_handle) +
                       ", dma_addr=" + hexadecimal(wanted.dma_addr) + "}");
    }
    return answer::success();
}

answer import(simulation& all, const request& asked) {
    const char* const call_name = "VC_SM_CMA_IOCTL_MEM_IMPORT_DMABUF";
    const std::uint64_t address = asked.arguments[2];
    cma::import_dmabuf wanted{};
    if (!asked.who.get(address, wanted)) {
        return answer::failure(EFAULT);
    }
    if (all.trace.wanted()) {
        all.trace.call("ioctl(" + std::to_string(asked.descriptor(0)) + ", " + call_name +
                       ", {dmabuf_fd=" + std::to_string(wanted.dmabuf_fd) +
                       ", cached=" + std::to_string(wanted.cached) + ", name=" + quoted(text_in(wanted.name)) + "})");
    }
    if (const int fault = all.fault(videocore::operation::import, asked)) {
        return answer::failure(fault);
    }
    const auto status = asked.who.look_at(wanted.dmabuf_fd);
    if (!status) {
        return all.crash(asked, call_name, "dmabuf_fd " + std::to_string(wanted.dmabuf_fd) + " is not open");
    }
    const std::shared_ptr<buffer> source = all.buffers.find(asked.who, wanted.dmabuf_fd, *status);
    if (!source) {
        const auto link = link_text(asked.who.proc_fd(wanted.dmabuf_fd));
        if (link && link->compare(0, 8, "/dmabuf:") == 0) {
            return answer::failure(ENOMEM); // one of this machine's: pages here and there
        }
        return all.crash(asked, call_name, "dmabuf_fd " + std::to_string(wanted.dmabuf_fd) + " is no dma-buf");
    }
    const unsigned depth = depth_of(*source) + 1;
    const buffer& root = root_of(*source);
    if (depth >= 3) {
        return all.crash(asked, call_name, "an import of an import of an import: an endless loop in the kernel");
    }
    if (depth == 2 && root.exporter == "udmabuf") {
        return all.crash(asked, call_name, "an import of an import of a udmabuf");
    }
    if (!source->contiguous) {
        return answer::failure(ENOMEM);
    }
    if (!asked.who.put(address, wanted)) {
        if (all.listener->waits(asked.id)) {
            all.report.kernel_crashes.push_back(
                all.about(asked, call_name,
                          "its struct is in read-only memory; closing the descriptor that dangles is a kernel BUG"));
        }
        return answer::failure(EFAULT);
    }
    const bool cached = root.exporter != cma::exporter;
    buffer described;
    described.memory =
        all.memory->introduce(source->memory, cma::default_name, cached ? cache_mode::host : cache_mode::none);
    described.exporter = cma::exporter;
    described.label = source->label.empty() ? text_in(wanted.name) : source->label;
    described.bytes = source->bytes;
    described.source = source;
    described.call = call_name;
    buffers::made made = all.add_buffer(asked, std::move(described), O_RDWR);
    const int number = all.listener->give(asked.id, made.file.get(), true, false);
    if (number < 0) {
        all.buffers.cancel(made.which);
        return answer::failure(EFAULT);
    }
    wanted.handle = number;
    wanted.vc_handle = made.which->videocore_handle();
    wanted.size = static_cast<std::uint32_t>(made.which->bytes);
    wanted.dma_addr = made.which->memory->bus_address();
    (void)asked.who.put(address, wanted);
    if (all.trace.wanted()) {
        all.trace.also("{handle=" + std::to_string(number) + ", vc_handle=" + std::to_string(wanted.vc_handle) +
                       ", size=" + std::to_string(wanted.size) + ", dma_addr=" + hexadecimal(wanted.dma_addr) + "}");
    }
    return answer::success();
}

} // namespace

answer vcsm_cma_ioctl(simulation& all, const request& asked) {
    // The driver looks at the number's low 8 bits alone; what it does not know, be it another driver's, is EINVAL.
    switch (asked.word(1) & 0xff) {
    case cma::mem_alloc & 0xff:
        ++all.report.calls["VC_SM_CMA_IOCTL_MEM_ALLOC"];
        return allocate(all, asked);
    case cma::mem_import_dmabuf & 0xff:
        ++all.report.calls["VC_SM_CMA_IOCTL_MEM_IMPORT_DMABUF"];
        return import(all, asked);
    default:
        return answer::failure(EINVAL);
    }
}

} // namespace vcsm::sim
