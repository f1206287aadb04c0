#include "hand_made.hpp"

#include "../command.hpp"
#include "kernel/dma_heap.hpp"
#include "kernel/vcsm_cma.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace tool::bench {

namespace {

[[noreturn]] void fail(const char* call) {
    throw failed{std::string{"cannot make a block by hand: "} + call + ": " + std::generic_category().message(errno)};
}

} // namespace

hand_made::hand_made(std::string_view device) {
    std::string node;
    constexpr std::string_view heaps = "dma-heap:";
    if (device.starts_with(heaps)) {
        kind_ = interface::dma_heap;
        node = "/dev/dma_heap/" + std::string{device.substr(heaps.size())};
        calls_ = "ioctl, mmap, munmap, close";
    } else if (device == "vcsm-cma") {
        kind_ = interface::vcsm_cma;
        node = "/dev/vcsm-cma";
        calls_ = "ioctl, mmap, munmap, close";
    } else {
        calls_ = "memfd_create, ftruncate, mmap, munmap, close";
        return;
    }
    device_ = ::open(node.c_str(), O_RDWR | O_CLOEXEC);
    if (device_ < 0) {
        fail("open");
    }
}

hand_made::~hand_made() {
    if (device_ >= 0) {
        ::close(device_);
    }
}

int hand_made::allocate(std::size_t bytes) const {
    switch (kind_) {
    case interface::dma_heap: {
        dma_heap_allocation_data wanted{};
        wanted.len = bytes;
        wanted.fd_flags = O_RDWR | O_CLOEXEC;
        if (::ioctl(device_, DMA_HEAP_IOCTL_ALLOC, &wanted) != 0) {
            fail("ioctl(DMA_HEAP_IOCTL_ALLOC)");
        }
        return static_cast<int>(wanted.fd);
    }
    case interface::vcsm_cma: {
        vcsm::kernel::vcsm_cma::alloc wanted{};
        wanted.size = static_cast<std::uint32_t>(bytes);
        wanted.num = 1;
        wanted.handle = -1;
        if (::ioctl(device_, vcsm::kernel::vcsm_cma::mem_alloc, &wanted) != 0) {
            fail("ioctl(MEM_ALLOC)");
        }
        return wanted.handle;
    }
    case interface::memfd:
        break;
    }
    const int descriptor = ::memfd_create("hand-made", MFD_CLOEXEC);
    if (descriptor < 0 || ::ftruncate(descriptor, static_cast<off_t>(bytes)) != 0) {
        fail("memfd_create");
    }
    return descriptor;
}

void* hand_made::map(int descriptor, std::size_t bytes) {
    void* const address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) {
        fail("mmap");
    }
    return address;
}

void hand_made::give_back(int descriptor, void* address, std::size_t bytes) {
    ::munmap(address, bytes);
    ::close(descriptor);
}

void copy_plainly(std::byte* to, const std::byte* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}

#ifdef __SSE2__

namespace {

__attribute__((target("avx"))) void stream_wide(std::byte* to, const std::byte* from, std::size_t bytes) {
    for (std::size_t at = 0; at + 64 <= bytes; at += 64) {
        const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at));
        const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at + 32));
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at), low);
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at + 32), high);
    }
    _mm_sfence();
}

void stream_narrow(std::byte* to, const std::byte* from, std::size_t bytes) {
    for (std::size_t at = 0; at + 16 <= bytes; at += 16) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + at),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at)));
    }
    _mm_sfence();
}

} // namespace

void copy_streaming(std::byte* to, const std::byte* from, std::size_t bytes) {
    (__builtin_cpu_supports("avx") ? stream_wide : stream_narrow)(to, from, bytes);
}

#else

void copy_streaming(std::byte* to, const std::byte* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}

#endif

void copy_by_two_threads(std::byte* to, const std::byte* from, std::size_t bytes) {
    const std::size_t half = bytes / 2 & ~std::size_t{4095};
    std::thread other{[=] { std::memcpy(to, from, half); }};
    std::memcpy(to + half, from + half, bytes - half);
    other.join();
}

} // namespace tool::bench
