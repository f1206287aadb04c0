#include "device/dma_buf.hpp"

#include "kernel/dma_buf.hpp"
#include "kernel/proc_text.hpp"
#include "kernel/vcsm_cma.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include <sys/mman.h>

namespace vcsm::device {

bool dma_buf_facts::is_vcsm_cmas() const noexcept {
    return exporter == kernel::vcsm_cma::exporter;
}

namespace {

[[noreturn]] void refuse_as_no_dma_buf(const about& what) {
    fail(EINVAL, what, "the descriptor is no dma-buf");
}

} // namespace

dma_buf_facts prove_dma_buf(int descriptor, const about& what) {
    // First what /proc says, because looking there harms no file of any kind. /proc/thread-self and not /proc/self: the
    // threads of a process may have a table of descriptors each.
    if (kernel::system().fcntl(descriptor, F_GETFD, 0) == -1) {
        fail(EBADF, what, "there is no such open descriptor");
    }
    std::string text;
    try {
        text = kernel::read_text("/proc/thread-self/fdinfo/" + std::to_string(descriptor), std::size_t{64} << 10);
    } catch (const std::system_error& failed) {
        fail(failed.code().value(), what,
             "whether the descriptor is a dma-buf is told by /proc, which cannot be read: mount /proc");
    }
    kernel::fdinfo_text said = kernel::parse_fdinfo(text);
    if (said.exporter.empty()) {
        refuse_as_no_dma_buf(what);
    }
    // A dma-buf refuses a synchronisation with unknown flags before it touches anything; nothing else knows the
    // request.
    dma_buf_sync nonsense{~std::uint64_t{0}};
    if (kernel::ioctl(descriptor, kernel::dma_buf::sync, &nonsense) != EINVAL) {
        refuse_as_no_dma_buf(what);
    }
    dma_buf_facts facts;
    const off_t end = kernel::system().lseek(descriptor, 0, SEEK_END);
    if (end <= 0 || static_cast<std::uint64_t>(end) > SIZE_MAX) {
        fail(EINVAL, what, "the dma-buf does not say its size");
    }
    facts.bytes = static_cast<std::size_t>(end);
    facts.exporter = std::move(said.exporter);
    facts.name = std::move(said.name);
    return facts;
}

void set_dma_buf_name(int descriptor, const std::string& name) noexcept {
    if (name.empty()) {
        return; // it has none already
    }
    std::array<char, kernel::dma_buf::name_bytes + 1> cut{};
    std::memcpy(cut.data(), name.data(), std::min(name.size(), kernel::dma_buf::name_bytes));
    (void)kernel::ioctl(descriptor, kernel::dma_buf::set_name, cut.data());
}

kernel::mapping map_block(int descriptor, std::size_t bytes, std::size_t alignment, off_t offset) {
    if (alignment <= kernel::page_size()) {
        return kernel::map_shared(descriptor, bytes, offset);
    }
    // Room for any place of the block in it; what is not needed of it goes back at once.
    if (bytes > SIZE_MAX - alignment) {
        errno = ENOMEM;
        kernel::throw_errno("mmap");
    }
    const std::size_t room_bytes = bytes + alignment;
    void* const room =
        kernel::system().mmap(nullptr, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) { // NOLINT(performance-no-int-to-ptr): the C library's own constant
        kernel::throw_errno("mmap");
    }
    auto* const begin = static_cast<std::byte*>(room);
    const std::size_t before = (alignment - reinterpret_cast<std::uintptr_t>(begin) % alignment) % alignment;
    std::byte* const at = begin + before;
    kernel::mapping whole{begin, room_bytes};
    void* const mapped =
        kernel::system().mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, offset);
    if (mapped == MAP_FAILED) { // NOLINT(performance-no-int-to-ptr): the C library's own constant
        kernel::throw_errno("mmap");
    }
    whole.forget();
    kernel::mapping{before != 0 ? begin : nullptr, before}.reset();
    kernel::mapping{at + bytes, room_bytes - before - bytes}.reset();
    kernel::mapping result{at, bytes};
    if (kernel::retried([&] { return kernel::system().madvise(at, bytes, MADV_DONTFORK); }) != 0) {
        kernel::throw_errno("madvise(MADV_DONTFORK)");
    }
    return result;
}

dma_buf_memory::dma_buf_memory(parts whole) noexcept
    : memory{whole.mapped.data(), whole.bytes, whole.how == agreement::sync ? cache_mode::host : cache_mode::none},
      parts_{std::move(whole)} {
    if (parts_.how == agreement::sync) {
        bracket_by(bracket::sync, parts_.descriptor.get());
    } else {
        bracket_by(bracket::barrier);
    }
}

std::byte* dma_buf_memory::map() {
    if (!parts_.mapped) {
        try {
            parts_.mapped = map_block(parts_.descriptor.get(), parts_.bytes, parts_.alignment);
        } catch (const std::system_error& failed) {
            const int value = failed.code().value();
            fail(value, {"map", parts_.device, parts_.block, parts_.bytes},
                 value == ENOMEM ? "this process has no room left for its addresses: free blocks, or raise the limit "
                                   "(ulimit -v)"
                                 : "the kernel does not let the CPU look at it");
        }
        mapped_at(parts_.mapped.data());
    }
    return parts_.mapped.data();
}

void dma_buf_memory::sync_failed(int errno_value, const char* operation) const {
    fail(errno_value, {operation, parts_.device, parts_.block, capacity()},
         "the kernel could not make the CPU's cache and memory agree");
}

bool dma_buf_memory::is(const file_identity& other) const noexcept {
    if (!parts_.descriptor) {
        return false;
    }
    if (!identity_) {
        identity_ = identity_of(parts_.descriptor.get());
    }
    return identity_ == other;
}

void dma_buf_memory::release() noexcept {
    bracket_by(bracket::barrier); // whoever ends a lock of it now has nothing else to end
    parts_.descriptor.reset();
}

void dma_buf_memory::abandon() noexcept {
    bracket_by(bracket::barrier);
    parts_.descriptor.reset();
    parts_.mapped.forget();
}

proven_dma_buf duplicate_proven(int descriptor, const about& what) {
    proven_dma_buf proven;
    try {
        proven.descriptor = kernel::duplicate(descriptor);
    } catch (const std::system_error& failed) {
        const int value = failed.code().value();
        fail(value, what,
             value == EBADF ? "there is no such open descriptor"
                            : "close files or blocks, or raise the limit (ulimit -n)");
    }
    proven.facts = prove_dma_buf(proven.descriptor.get(), what);
    return proven;
}

dma_buf_memory::parts mapped_parts(proven_dma_buf proven, const about& what) {
    dma_buf_memory::parts whole;
    whole.bytes = proven.facts.bytes;
    whole.how = proven.facts.is_vcsm_cmas() ? agreement::barrier : agreement::sync;
    whole.device = what.device;
    whole.block = what.block;
    try {
        whole.mapped = kernel::map_shared(proven.descriptor.get(), proven.facts.bytes);
    } catch (const std::system_error& failed) {
        fail(failed.code().value(), what,
             "the driver " + proven.facts.exporter + " that made it does not let the CPU map it");
    }
    whole.descriptor = std::move(proven.descriptor);
    return whole;
}

std::size_t dma_buf_device::max_bytes() const noexcept {
    return static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) & ~(kernel::page_size() - 1);
}

std::unique_ptr<memory> dma_buf_device::import_dmabuf(int descriptor, const std::string& block) {
    const about what{"import", name(), block};
    return std::make_unique<dma_buf_memory>(mapped_parts(duplicate_proven(descriptor, what), what));
}

std::unique_ptr<memory> dma_buf_device::made(kernel::unique_fd descriptor, std::size_t bytes,
                                             const request& wanted) const {
    dma_buf_memory::parts whole;
    whole.descriptor = std::move(descriptor);
    whole.bytes = bytes;
    whole.alignment = wanted.alignment;
    set_dma_buf_name(whole.descriptor.get(), wanted.name);
    whole.device = name();
    whole.block = wanted.name;
    return std::make_unique<dma_buf_memory>(std::move(whole));
}

} // namespace vcsm::device
