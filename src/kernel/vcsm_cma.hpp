// What /dev/vcsm-cma speaks: the driver of all kernels from 5.10 to today's, and of Buster's beside the legacy one.
//
// No distribution ships a header of it. The structs are the same for 32-bit and 64-bit programs, but for the entries
// of `mem_clean_invalid2`, which hold a pointer.
#pragma once

#include <cstddef>
#include <cstdint>

#include <linux/ioctl.h>

namespace vcsm::kernel::vcsm_cma {

inline constexpr const char* node = "/dev/vcsm-cma";
/// Bytes of a name that the driver keeps; its field has one more.
inline constexpr std::size_t name_bytes = 31;
/// `exp_name` in the fdinfo of every block that the driver made, imports included.
inline constexpr const char* exporter = "vc_sm_cma";
/// What the driver calls a block without a name, and every import.
inline constexpr const char* default_name = "sm-host-resource";

struct alloc {
    std::uint32_t size; // rounded up to pages in secret: the field stays as it was
    std::uint32_t num;
    std::uint32_t cached; // ignored: the memory is always coherent
    std::uint32_t pad;
    std::uint8_t name[name_bytes + 1];
    std::int32_t handle; // out: a dma-buf's descriptor
    std::uint32_t vc_handle;
    std::uint64_t dma_addr;
};

struct import_dmabuf {
    std::int32_t dmabuf_fd;
    std::uint32_t cached; // ignored
    std::uint8_t name[name_bytes + 1];
    std::int32_t handle; // out: a dma-buf's descriptor
    std::uint32_t vc_handle;
    std::uint32_t size;
    std::uint32_t pad;
    std::uint64_t dma_addr;
};

struct clean_invalid2 {
    std::uint32_t op_count;
    std::uint32_t pad;
    // then op_count entries
};

/// One strided range of `clean_invalid2`, as a program with addresses of type Pointer passes it.
template <class Pointer>
struct clean_invalid2_entry {
    std::uint32_t mode;
    std::uint32_t block_count;
    alignas(sizeof(Pointer)) Pointer start_address;
    std::uint32_t block_size;
    std::uint32_t inter_block_stride;
};
using clean_invalid2_entry_32 = clean_invalid2_entry<std::uint32_t>;
using clean_invalid2_entry_64 = clean_invalid2_entry<std::uint64_t>;

inline constexpr unsigned long mem_alloc = _IOR('J', 0x5a, alloc);
inline constexpr unsigned long mem_import_dmabuf = _IOR('J', 0x5b, import_dmabuf);
inline constexpr unsigned long mem_clean_invalid2 = _IOR('J', 0x5c, clean_invalid2);

static_assert(mem_alloc == 0x80404a5a);
static_assert(sizeof(alloc) == 64 && alignof(alloc) <= 8);
static_assert(offsetof(alloc, size) == 0 && offsetof(alloc, num) == 4 && offsetof(alloc, cached) == 8);
static_assert(offsetof(alloc, pad) == 12 && offsetof(alloc, name) == 16 && offsetof(alloc, handle) == 48);
static_assert(offsetof(alloc, vc_handle) == 52 && offsetof(alloc, dma_addr) == 56);

static_assert(mem_import_dmabuf == 0x80404a5b);
static_assert(sizeof(import_dmabuf) == 64);
static_assert(offsetof(import_dmabuf, dmabuf_fd) == 0 && offsetof(import_dmabuf, cached) == 4);
static_assert(offsetof(import_dmabuf, name) == 8 && offsetof(import_dmabuf, handle) == 40);
static_assert(offsetof(import_dmabuf, vc_handle) == 44 && offsetof(import_dmabuf, size) == 48);
static_assert(offsetof(import_dmabuf, pad) == 52 && offsetof(import_dmabuf, dma_addr) == 56);

static_assert(mem_clean_invalid2 == 0x80084a5c);
static_assert(sizeof(clean_invalid2) == 8);
static_assert(sizeof(clean_invalid2_entry_32) == 20 && sizeof(clean_invalid2_entry_64) == 24);
static_assert(offsetof(clean_invalid2_entry_32, start_address) == 8 &&
              offsetof(clean_invalid2_entry_64, start_address) == 8);
static_assert(offsetof(clean_invalid2_entry_32, block_size) == 12 &&
              offsetof(clean_invalid2_entry_64, block_size) == 16);

} // namespace vcsm::kernel::vcsm_cma
