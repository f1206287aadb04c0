// /dev/udmabuf: a program's own memfd as a dma-buf.
#include "kernel/udmabuf.hpp"

#include "simulation.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>

namespace vcsm::sim {

answer udmabuf_ioctl(simulation& all, const request& asked) {
    if (asked.word(1) != kernel::udmabuf::create) {
        return answer::failure(ENOTTY);
    }
    ++all.report.calls["UDMABUF_CREATE"];
    udmabuf_create wanted{};
    if (!asked.who.get(asked.arguments[2], wanted)) {
        return answer::failure(EFAULT);
    }
    if (all.trace.wanted()) {
        all.trace.call("ioctl(" + std::to_string(asked.descriptor(0)) + ", UDMABUF_CREATE, {memfd=" +
                       std::to_string(wanted.memfd) + ", flags=" + hexadecimal(wanted.flags) +
                       ", offset=" + std::to_string(wanted.offset) + ", size=" + std::to_string(wanted.size) + "})");
    }
    const std::uint64_t page_mask = kernel::page_size() - 1;
    if ((wanted.flags & ~std::uint32_t{UDMABUF_FLAGS_CLOEXEC}) != 0 || (wanted.offset & page_mask) != 0 ||
        (wanted.size & page_mask) != 0 || wanted.size == 0) {
        return answer::failure(EINVAL);
    }
    constexpr std::uint64_t size_limit = std::uint64_t{64} << 20; // the driver's size_limit_mb
    if (wanted.size > size_limit) {
        return answer::failure(EINVAL);
    }
    if (const int fault = all.fault(videocore::operation::alloc, asked)) {
        return answer::failure(fault);
    }
    const auto status = asked.who.look_at(static_cast<int>(wanted.memfd));
    if (!status) {
        return answer::failure(EBADFD);
    }
    kernel::unique_fd memfd;
    if (S_ISREG(status->st_mode)) {
        memfd = kernel::try_open(asked.who.proc_fd(static_cast<int>(wanted.memfd)), O_RDWR);
    }
    const int seals = memfd ? ::fcntl(memfd.get(), F_GET_SEALS) : -1;
    if (seals == -1) {
        return answer::failure(EBADFD); // no memfd
    }
    if ((seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_WRITE) != 0) {
        return answer::failure(EINVAL);
    }
    if (wanted.offset + wanted.size < wanted.offset ||
        wanted.offset + wanted.size > static_cast<std::uint64_t>(status->st_size)) {
        return answer::failure(EINVAL);
    }
    if (wanted.offset != 0) {
        all.report.errors.push_back(all.about(asked, "UDMABUF_CREATE",
                                              "an offset other than 0 is beyond what vcsm-sim can do; the kernel can"));
        return answer::failure(EINVAL);
    }
    buffer described;
    described.memory = all.ordinary->adopt(
        std::move(memfd), {static_cast<std::size_t>(wanted.size), "udmabuf", cache_mode::none, kernel::page_size()});
    described.exporter = "udmabuf";
    described.bytes = described.memory->capacity();
    described.contiguous = described.bytes == kernel::page_size();
    described.call = "UDMABUF_CREATE";
    buffers::made made = all.add_buffer(asked, std::move(described), O_RDWR);
    const int number =
        all.listener->give(asked.id, made.file.get(), (wanted.flags & UDMABUF_FLAGS_CLOEXEC) != 0, false);
    if (number < 0) {
        all.buffers.cancel(made.which);
        return answer::failure(-number);
    }
    return answer::success(number);
}

} // namespace vcsm::sim
