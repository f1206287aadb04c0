// What /dev/vcsm speaks: the driver of kernels up to 5.4, whose blocks lie in the GPU's part of a split memory.
//
// Its addresses and handles have 32 bits, so that it serves 32-bit programs alone. No distribution ships a header of
// it. `clean_invalid2` holds pointers; the variant for 64-bit programs is here for those who read what they send.
#pragma once

#include <cstddef>
#include <cstdint>

#include <linux/ioctl.h>

namespace vcsm::kernel::vcsm_legacy {

inline constexpr const char* node = "/dev/vcsm";
/// Bytes of a name that the driver keeps; its field has one more.
inline constexpr std::size_t name_bytes = 31;

/// Values of `cached`.
inline constexpr std::uint32_t cache_none = 0;
inline constexpr std::uint32_t cache_host = 1;
inline constexpr std::uint32_t cache_videocore = 2;
inline constexpr std::uint32_t cache_both = 3;
/// To be added to them: map the block up front.
inline constexpr std::uint32_t cache_pinned = 0x80;

/// Bits of `cmd` and `mode`; 0 is nothing.
inline constexpr std::uint32_t command_invalidates = 1;
inline constexpr std::uint32_t command_cleans = 2;

struct alloc {
    std::uint32_t size;
    std::uint32_t num;
    std::uint32_t cached;
    char name[name_bytes + 1];
    std::uint32_t handle; // out; also the offset to map the block at
};

struct alloc_share {
    std::uint32_t handle; // in: a handle of any process; out: the new one
    std::uint32_t size;   // out
};

struct lock_unlock {
    std::uint32_t handle;
    std::uint32_t addr; // out, of a lock
};

struct lock_cache {
    std::uint32_t handle;
    std::uint32_t cached;
};

struct resize {
    std::uint32_t handle;
    std::uint32_t new_size;
    std::uint32_t old_size; // out
};

struct free {
    std::uint32_t handle;
};

struct cache {
    std::uint32_t handle;
    std::uint32_t addr;
    std::uint32_t size;
};

struct size {
    std::uint32_t handle;
    std::uint32_t bytes; // out
};

struct check {
    std::uint32_t handle;
    std::uint32_t addr; // out, as the rest
    std::uint32_t size;
    std::uint32_t cache;
};

struct map {
    std::uint32_t pid;
    std::uint32_t handle;
    std::uint32_t addr;
    std::uint32_t size; // out
};

struct walk {
    std::uint32_t pid;
};

inline constexpr std::size_t clean_invalid_entries = 8;
struct clean_invalid {
    struct entry {
        std::uint32_t cmd;
        std::uint32_t handle;
        std::uint32_t addr;
        std::uint32_t size;
    } s[clean_invalid_entries];
};

/// The head of `clean_invalid2`; entries of the same kind of program follow.
template <class Pointer>
struct alignas(sizeof(Pointer)) clean_invalid2 {
    std::uint8_t op_count;
    std::uint8_t zero[3];
};
using clean_invalid2_32 = clean_invalid2<std::uint32_t>;
using clean_invalid2_64 = clean_invalid2<std::uint64_t>;

template <class Pointer>
struct clean_invalid2_entry {
    std::uint16_t mode;
    std::uint16_t block_count;
    alignas(sizeof(Pointer)) Pointer start_address;
    std::uint32_t block_size;
    std::uint32_t inter_block_stride;
};
using clean_invalid2_entry_32 = clean_invalid2_entry<std::uint32_t>;
using clean_invalid2_entry_64 = clean_invalid2_entry<std::uint64_t>;

struct import_dmabuf {
    std::int32_t dmabuf_fd;
    std::uint32_t cached;
    char name[name_bytes + 1];
    std::uint32_t handle; // out
};

inline constexpr unsigned long mem_alloc = _IOR('I', 0x5a, alloc);
inline constexpr unsigned long mem_alloc_share = _IOR('I', 0x5b, alloc_share);
inline constexpr unsigned long mem_lock = _IOR('I', 0x5c, lock_unlock);
inline constexpr unsigned long mem_lock_cache = _IOR('I', 0x5d, lock_cache);
inline constexpr unsigned long mem_unlock = _IOR('I', 0x5e, lock_unlock);
inline constexpr unsigned long mem_resize = _IOR('I', 0x5f, resize);
inline constexpr unsigned long mem_free = _IOR('I', 0x61, free);
inline constexpr unsigned long mem_flush = _IOR('I', 0x62, cache);
inline constexpr unsigned long mem_invalid = _IOR('I', 0x63, cache);
inline constexpr unsigned long size_usr_hdl = _IOR('I', 0x64, size);
inline constexpr unsigned long chk_usr_hdl = _IOR('I', 0x65, check);
inline constexpr unsigned long map_usr_hdl = _IOR('I', 0x66, map);
inline constexpr unsigned long map_usr_address = _IOR('I', 0x67, map);
inline constexpr unsigned long map_vc_hdl_fr_addr = _IOR('I', 0x68, map);
inline constexpr unsigned long map_vc_hdl_fr_hdl = _IOR('I', 0x69, map);
inline constexpr unsigned long map_vc_addr_fr_hdl = _IOR('I', 0x6a, map);
inline constexpr unsigned long vc_walk_alloc = _IO('I', 0x6b);
inline constexpr unsigned long host_walk_map = _IO('I', 0x6c);
inline constexpr unsigned long host_walk_pid_alloc = _IOR('I', 0x6d, walk);
inline constexpr unsigned long host_walk_pid_map = _IOR('I', 0x6e, walk);
inline constexpr unsigned long mem_clean_invalid = _IOR('I', 0x6f, clean_invalid);
inline constexpr unsigned long mem_clean_invalid2_32 = _IOR('I', 0x70, clean_invalid2_32);
inline constexpr unsigned long mem_clean_invalid2_64 = _IOR('I', 0x70, clean_invalid2_64);
inline constexpr unsigned long mem_import_dmabuf = _IOR('I', 0x71, import_dmabuf);

static_assert(mem_alloc == 0x8030495a && sizeof(alloc) == 48);
static_assert(offsetof(alloc, size) == 0 && offsetof(alloc, num) == 4 && offsetof(alloc, cached) == 8);
static_assert(offsetof(alloc, name) == 12 && offsetof(alloc, handle) == 44);
static_assert(mem_alloc_share == 0x8008495b && offsetof(alloc_share, size) == 4);
static_assert(mem_lock == 0x8008495c && mem_unlock == 0x8008495e && offsetof(lock_unlock, addr) == 4);
static_assert(mem_lock_cache == 0x8008495d && offsetof(lock_cache, cached) == 4);
static_assert(mem_resize == 0x800c495f && offsetof(resize, new_size) == 4 && offsetof(resize, old_size) == 8);
static_assert(mem_free == 0x80044961 && sizeof(free) == 4);
static_assert(mem_flush == 0x800c4962 && mem_invalid == 0x800c4963);
static_assert(offsetof(cache, addr) == 4 && offsetof(cache, size) == 8);
static_assert(size_usr_hdl == 0x80084964 && offsetof(size, bytes) == 4);
static_assert(chk_usr_hdl == 0x80104965 && offsetof(check, size) == 8 && offsetof(check, cache) == 12);
static_assert(map_usr_hdl == 0x80104966 && map_usr_address == 0x80104967 && map_vc_hdl_fr_addr == 0x80104968);
static_assert(map_vc_hdl_fr_hdl == 0x80104969 && map_vc_addr_fr_hdl == 0x8010496a);
static_assert(offsetof(map, handle) == 4 && offsetof(map, addr) == 8 && offsetof(map, size) == 12);
static_assert(vc_walk_alloc == 0x496b && host_walk_map == 0x496c);
static_assert(host_walk_pid_alloc == 0x8004496d && host_walk_pid_map == 0x8004496e);
static_assert(mem_clean_invalid == 0x8080496f && sizeof(clean_invalid) == 128);
static_assert(mem_clean_invalid2_32 == 0x80044970 && mem_clean_invalid2_64 == 0x80084970);
static_assert(sizeof(clean_invalid2_entry_32) == 16 && sizeof(clean_invalid2_entry_64) == 24);
static_assert(offsetof(clean_invalid2_entry_32, start_address) == 4);
static_assert(offsetof(clean_invalid2_entry_64, start_address) == 8);
static_assert(mem_import_dmabuf == 0x802c4971 && sizeof(import_dmabuf) == 44);
static_assert(offsetof(import_dmabuf, cached) == 4 && offsetof(import_dmabuf, name) == 8);
static_assert(offsetof(import_dmabuf, handle) == 40);

} // namespace vcsm::kernel::vcsm_legacy
