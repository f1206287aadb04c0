// dma-bufs straight from the kernel, without the library: what its devices rely on can then be checked apart from them.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace vcsm_vm {

inline std::size_t page_size() {
    return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// A descriptor that is closed with its owner.
class descriptor {
  public:
    explicit descriptor(int number = -1) : number_{number} {}
    descriptor(descriptor&& other) noexcept : number_{other.number_} { other.number_ = -1; }
    descriptor& operator=(descriptor&& other) noexcept {
        if (this != &other) {
            close();
            number_ = other.number_;
            other.number_ = -1;
        }
        return *this;
    }
    ~descriptor() { close(); }
    void close() {
        if (number_ >= 0) {
            ::close(number_);
            number_ = -1;
        }
    }
    [[nodiscard]] int get() const { return number_; }
    [[nodiscard]] bool valid() const { return number_ >= 0; }

  private:
    int number_;
};

/// An ioctl's answer: 0 or the errno.
inline int answer_of(int number, unsigned long request, void* argument) {
    return ::ioctl(number, request, argument) == -1 ? errno : 0;
}

// linux/magic.h has it since Linux 5.3, but not in every C library's copy.
inline constexpr unsigned dma_buf_file_system = 0x444d4142;

/// DMA_BUF_IOCTL_SYNC's answer: 0 or the errno.
inline int sync(int number, std::uint64_t flags) {
    struct dma_buf_sync request {};
    request.flags = flags;
    return answer_of(number, DMA_BUF_IOCTL_SYNC, &request);
}

inline constexpr std::uint64_t every_flag = ~std::uint64_t{0};

inline const char* const system_heap = "/dev/dma_heap/system";
inline const char* const udmabuf_node = "/dev/udmabuf";

/// A new block of the heap `system`; errno says why when it is not valid.
inline descriptor from_system_heap(std::uint64_t bytes, std::uint32_t flags = O_RDWR | O_CLOEXEC) {
    const descriptor heap{::open(system_heap, O_RDONLY | O_CLOEXEC)};
    struct dma_heap_allocation_data request {};
    request.len = bytes;
    request.fd_flags = flags;
    const int error = answer_of(heap.get(), DMA_HEAP_IOCTL_ALLOC, &request);
    errno = error;
    return descriptor{error == 0 ? static_cast<int>(request.fd) : -1};
}

/// A memfd of `bytes` with the seals `seals`.
inline descriptor sealed_memfd(std::uint64_t bytes, int seals) {
    descriptor memory{::memfd_create("facts", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (::ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0 || ::fcntl(memory.get(), F_ADD_SEALS, seals) != 0) {
        return descriptor{};
    }
    return memory;
}

/// A dma-buf over a memfd; errno says why when it is not valid.
inline descriptor from_memfd(int memory, std::uint64_t bytes, std::uint64_t offset = 0,
                             std::uint32_t flags = UDMABUF_FLAGS_CLOEXEC) {
    const descriptor node{::open(udmabuf_node, O_RDWR | O_CLOEXEC)};
    struct udmabuf_create request {};
    request.memfd = static_cast<std::uint32_t>(memory);
    request.flags = flags;
    request.offset = offset;
    request.size = bytes;
    return descriptor{::ioctl(node.get(), UDMABUF_CREATE, &request)};
}

inline descriptor from_udmabuf(std::uint64_t bytes) {
    const std::uint64_t whole = (bytes + page_size() - 1) / page_size() * page_size();
    const descriptor memory = sealed_memfd(whole, F_SEAL_SHRINK);
    return from_memfd(memory.get(), whole);
}

/// One of the two ways in which any Linux gives dma-bufs.
struct kind {
    const char* name;
    const char* node;
    descriptor (*make)(std::uint64_t bytes);
};

/// For GoogleTest's messages.
inline void PrintTo(const kind& one, std::ostream* stream) { // NOLINT(readability-identifier-naming): GoogleTest's name
    *stream << one.node;
}

/// Whether the running kernel is to have `node`. `VCSM_VM_NODES` says so, so that one that is missing is no reason to
/// test less than was meant.
inline bool has(const std::string& node) {
    const char* const wanted = std::getenv("VCSM_VM_NODES");
    return wanted == nullptr ? ::access(node.c_str(), F_OK) == 0 : std::string{wanted}.find(node) != std::string::npos;
}

/// Those of the running kernel.
inline std::vector<kind> kinds() {
    static const kind all[] = {
        {"dma_heap", system_heap, [](std::uint64_t bytes) { return from_system_heap(bytes); }},
        {"udmabuf", udmabuf_node, from_udmabuf},
    };
    std::vector<kind> found;
    for (const kind& one : all) {
        if (has(one.node)) {
            found.push_back(one);
        }
    }
    return found;
}

inline std::string text_of(const std::string& path) {
    std::ifstream file{path};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// What `/proc/self/fdinfo` says of `field`; empty when it has no such line.
inline std::string fdinfo(int number, const std::string& field) {
    std::istringstream lines{text_of("/proc/self/fdinfo/" + std::to_string(number))};
    for (std::string line; std::getline(lines, line);) {
        if (line.rfind(field + ":", 0) == 0) {
            const std::size_t start = line.find_first_not_of(" \t", field.size() + 1);
            return start == std::string::npos ? std::string{} : line.substr(start);
        }
    }
    return {};
}

/// How many dma-bufs the whole kernel has. Needs debugfs; -1 without it.
inline int dma_bufs_alive() {
    const std::string text = text_of("/sys/kernel/debug/dma_buf/bufinfo");
    const std::size_t at = text.rfind("\nTotal "); // each dma-buf has such a line too, of its devices
    return at == std::string::npos ? -1 : std::atoi(text.c_str() + at + 7);
}

} // namespace vcsm_vm
