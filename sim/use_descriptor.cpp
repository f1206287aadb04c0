// Calls on descriptors and mappings that a dma-buf and a device answer otherwise than a file in memory does.
#include "nodes/vcsm_legacy.hpp"
#include "simulation.hpp"

#include <cerrno>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

// Linux 6.11's way to ask for the mapping at an address; older headers do not have it.
struct mapping_query {
    std::uint64_t size = sizeof(mapping_query);
    std::uint64_t query_flags = 0;
    std::uint64_t query_addr = 0;
    std::uint64_t vma_start = 0;
    std::uint64_t vma_end = 0;
    std::uint64_t vma_flags = 0;
    std::uint64_t vma_page_size = 0;
    std::uint64_t vma_offset = 0;
    std::uint64_t inode = 0;
    std::uint32_t dev_major = 0;
    std::uint32_t dev_minor = 0;
    std::uint32_t vma_name_size = 0;
    std::uint32_t build_id_size = 0;
    std::uint64_t vma_name_addr = 0;
    std::uint64_t build_id_addr = 0;
};
constexpr unsigned long query_mapping = _IOWR('f', 17, mapping_query);

/// The file that is mapped at an address; a key of zeros where none is.
file_key mapped_at(const target& who, std::uint64_t address) {
    const kernel::unique_fd maps = kernel::try_open(who.proc("maps"), O_RDONLY);
    if (!maps) {
        return {};
    }
    mapping_query query;
    query.query_addr = address;
    if (::ioctl(maps.get(), query_mapping, &query) == 0) {
        return {makedev(query.dev_major, query.dev_minor), query.inode};
    }
    if (errno == ENOENT) {
        return {};
    }
    const std::string text = text_of(who.proc("maps"));
    for (std::size_t at = 0; at < text.size();) {
        unsigned long long start = 0;
        unsigned long long end = 0;
        unsigned major_number = 0;
        unsigned minor_number = 0;
        unsigned long number = 0;
        if (std::sscanf(text.c_str() + at, "%llx-%llx %*s %*s %x:%x %lu", &start, &end, &major_number, &minor_number,
                        &number) == 5 &&
            address >= start && address < end) {
            return {makedev(major_number, minor_number), number};
        }
        at = std::min(text.find('\n', at), text.size() - 1) + 1;
    }
    return {};
}

answer seek(const request& asked, const buffer* which) {
    const bool wide = asked.what == call::llseek;
    const std::int64_t offset = wide           ? static_cast<std::int64_t>(asked.arguments[1] << 32 | asked.word(2))
                                : asked.narrow ? static_cast<std::int32_t>(asked.word(1))
                                               : static_cast<std::int64_t>(asked.arguments[1]);
    const int whence = asked.descriptor(wide ? 4 : 2);
    if (which == nullptr) {
        return answer::failure(ESPIPE);
    }
    if (offset != 0 || (whence != SEEK_SET && whence != SEEK_END)) {
        return answer::failure(EINVAL);
    }
    const std::uint64_t position = whence == SEEK_END ? which->bytes : 0;
    if (wide) {
        return asked.who.put(asked.arguments[3], position) ? answer::success() : answer::failure(EFAULT);
    }
    return answer::success(static_cast<std::int64_t>(position));
}

} // namespace

answer use_descriptor(simulation& all, const request& asked) {
    const int descriptor = asked.descriptor(0);
    const auto status = asked.who.look_at(descriptor);
    if (!status) {
        return answer::pass();
    }
    const entry* const device = all.nodes.find(key_of(*status));
    const std::shared_ptr<buffer> which =
        device == nullptr ? all.buffers.find(asked.who, descriptor, *status) : nullptr;
    if (device == nullptr && !which) {
        return answer::pass();
    }
    switch (asked.what) {
    case call::lseek:
    case call::llseek:
        all.trace.call("lseek(" + std::to_string(descriptor) + ")");
        return seek(asked, which.get());
    case call::fallocate:
        all.trace.call("fallocate(" + std::to_string(descriptor) + ")");
        return answer::failure(device != nullptr ? ENODEV : EOPNOTSUPP);
    default: // ftruncate, fsync, fdatasync
        all.trace.call("ftruncate or fsync(" + std::to_string(descriptor) + ")");
        return answer::failure(EINVAL);
    }
}

answer use_mapping(simulation& all, const request& asked) {
    if (all.buffers.all().empty()) {
        return answer::pass();
    }
    if (asked.what == call::mremap && asked.arguments[2] <= asked.arguments[1]) {
        return answer::pass(); // it does not grow
    }
    if (!all.lifetimes.knows(mapped_at(asked.who, asked.arguments[0]))) {
        return answer::pass();
    }
    all.trace.call(asked.what == call::mremap  ? "mremap(to grow)"
                   : asked.what == call::msync ? "msync()"
                                               : "madvise(MADV_DONTNEED)");
    return answer::failure(asked.what == call::mremap ? EFAULT : EINVAL);
}

answer map_file(simulation& all, const request& asked) {
    if (asked.what == call::mmap && asked.narrow) {
        return answer::pass(); // its arguments lie in memory; no C library of today calls it
    }
    const int descriptor = asked.descriptor(4);
    const auto status = asked.who.look_at(descriptor);
    if (!status) {
        return answer::pass();
    }
    const std::uint64_t bytes = asked.arguments[1];
    const std::uint64_t offset = asked.what == call::mmap2 ? asked.arguments[5] * 4096 : asked.arguments[5];
    if (all.legacy) {
        if (const auto result = all.legacy->map(asked, descriptor, *status, bytes, offset)) {
            return *result;
        }
    }
    const std::shared_ptr<buffer> which = all.buffers.find(asked.who, descriptor, *status);
    if (!which) {
        return answer::pass();
    }
    all.trace.call("mmap(" + std::to_string(bytes) + " bytes, " + std::to_string(descriptor) + ", offset " +
                   std::to_string(offset) + ")");
    if (const int fault = all.fault(videocore::operation::map, asked)) {
        return answer::failure(fault);
    }
    if (offset + bytes > ((which->bytes + kernel::page_size() - 1) & ~(kernel::page_size() - 1)) ||
        offset + bytes < offset) {
        return answer::failure(EINVAL);
    }
    if (offset != 0) {
        all.report.errors.push_back(
            all.about(asked, "mmap",
                      "offset " + std::to_string(offset) +
                          ": a board's driver ignores it and maps the block's start; map the whole block"));
    }
    all.trace.forget();
    return answer::pass();
}

} // namespace vcsm::sim
