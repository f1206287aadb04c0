// /dev/dma_heap/linux,cma and system.
#include "kernel/dma_heap.hpp"

#include "simulation.hpp"

#include <array>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>

namespace vcsm::sim {

namespace {

/// Whether the system heap gives a block of so many bytes in one piece: it takes the largest of these that fits, again
/// and again. Source: drivers/dma-buf/heaps/system_heap.c, orders 8, 4 and 0.
bool is_one_piece(std::size_t bytes) {
    for (const unsigned order : {8U, 4U, 0U}) {
        if (bytes == kernel::page_size() << order) {
            return true;
        }
    }
    return false;
}

} // namespace

answer heap_ioctl(simulation& all, const request& asked, const entry& heap) {
    if ((asked.word(1) & 0xff) != 0) {
        return answer::failure(EINVAL);
    }
    if (asked.word(1) != kernel::dma_heap::alloc) {
        return answer::failure(ENOTTY);
    }
    ++all.report.calls["DMA_HEAP_IOCTL_ALLOC"];
    const std::uint64_t address = asked.arguments[2];
    dma_heap_allocation_data wanted{};
    if (!asked.who.get(address, wanted)) {
        return answer::failure(EFAULT);
    }
    if (all.trace.wanted()) {
        all.trace.call("ioctl(" + std::to_string(asked.descriptor(0)) + ", DMA_HEAP_IOCTL_ALLOC of " + heap.text +
                       ", {len=" + std::to_string(wanted.len) + ", fd_flags=" + hexadecimal(wanted.fd_flags) + "})");
    }
    if (wanted.fd != 0 || (wanted.fd_flags & ~static_cast<unsigned>(O_CLOEXEC | O_ACCMODE)) != 0 ||
        wanted.heap_flags != 0 || wanted.len == 0 || wanted.len > UINT64_MAX - (kernel::page_size() - 1)) {
        return answer::failure(EINVAL);
    }
    if (const int fault = all.fault(videocore::operation::alloc, asked)) {
        return answer::failure(fault);
    }
    const bool in_videocore_memory = heap.text != "system";
    videocore::model& from = in_videocore_memory ? *all.memory : *all.ordinary;
    const videocore::block::description described{static_cast<std::size_t>(wanted.len), heap.text, cache_mode::none,
                                                  kernel::page_size()};
    buffer made_buffer;
    try {
        made_buffer.memory = from.allocate_unknown(described);
    } catch (const std::system_error&) {
        all.notice_what_is_gone(true);
        made_buffer.memory = from.allocate_unknown(described);
    }
    all.measure();
    if (!asked.who.put(address, wanted)) {
        return answer::failure(EFAULT); // a descriptor that could not be told is not left behind: seen on Linux 6.12
    }
    if (all.chosen.strict) {
        made_buffer.memory->bytes().begin_caching(); // so that what was never synced can be told
    }
    ::fchmod(made_buffer.memory->bytes().cpu_memfd(), 0600);
    made_buffer.exporter = heap.text;
    made_buffer.bytes = made_buffer.memory->capacity();
    made_buffer.contiguous = in_videocore_memory || is_one_piece(made_buffer.bytes);
    made_buffer.call = "DMA_HEAP_IOCTL_ALLOC";
    const auto flags = static_cast<int>(wanted.fd_flags);
    const int mode = (flags & O_ACCMODE) == O_ACCMODE ? O_RDWR : flags & O_ACCMODE;
    buffers::made made = all.add_buffer(asked, std::move(made_buffer), mode);
    const int number = all.listener->give(asked.id, made.file.get(), (flags & O_CLOEXEC) != 0, false);
    if (number < 0) {
        all.buffers.cancel(made.which);
        return answer::failure(-number);
    }
    wanted.fd = static_cast<std::uint32_t>(number);
    (void)asked.who.put(address, wanted);
    if (all.trace.wanted()) {
        all.trace.also("{fd=" + std::to_string(number) + "}");
    }
    return answer::success();
}

} // namespace vcsm::sim
