// What DRM's render nodes speak: libdrm's headers for all drivers and VC4; V3D's structs are our own, because libdrm
// 2.4.114 of Debian 12 has no header of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <drm.h>
#include <vc4_drm.h>

namespace vcsm::kernel::drm {

inline constexpr const char* directory = "/dev/dri";
inline constexpr const char* render_node_prefix = "renderD";

inline constexpr unsigned long version = DRM_IOCTL_VERSION;
inline constexpr unsigned long gem_close = DRM_IOCTL_GEM_CLOSE;
inline constexpr unsigned long prime_handle_to_fd = DRM_IOCTL_PRIME_HANDLE_TO_FD;
inline constexpr unsigned long prime_fd_to_handle = DRM_IOCTL_PRIME_FD_TO_HANDLE;

static_assert(sizeof(drm_gem_close) == 8 && sizeof(drm_prime_handle) == 12);
static_assert(gem_close == 0x40086409 && prime_handle_to_fd == 0xc00c642d && prime_fd_to_handle == 0xc00c642e);
static_assert(version == (sizeof(void*) == 4 ? 0xc0246400 : 0xc0406400));

} // namespace vcsm::kernel::drm

namespace vcsm::kernel::v3d {

struct wait_bo {
    std::uint32_t handle;
    std::uint32_t pad;
    std::uint64_t timeout_ns;
};

struct create_bo {
    std::uint32_t size; // in; rounded up to pages by the driver
    std::uint32_t flags;
    std::uint32_t handle; // out
    std::uint32_t offset; // out: the address in V3D's own space, never 0
};

struct mmap_bo {
    std::uint32_t handle;
    std::uint32_t flags;
    std::uint64_t offset; // out: where to map it in the render node
};

struct get_bo_offset {
    std::uint32_t handle;
    std::uint32_t offset; // out: as create_bo's
};

inline constexpr unsigned long wait_bo_request = DRM_IOWR(DRM_COMMAND_BASE + 0x01, wait_bo);
inline constexpr unsigned long create_bo_request = DRM_IOWR(DRM_COMMAND_BASE + 0x02, create_bo);
inline constexpr unsigned long mmap_bo_request = DRM_IOWR(DRM_COMMAND_BASE + 0x03, mmap_bo);
inline constexpr unsigned long get_bo_offset_request = DRM_IOWR(DRM_COMMAND_BASE + 0x05, get_bo_offset);

static_assert(sizeof(wait_bo) == 16 && offsetof(wait_bo, timeout_ns) == 8 && wait_bo_request == 0xc0106441);
static_assert(sizeof(create_bo) == 16 && offsetof(create_bo, handle) == 8 && offsetof(create_bo, offset) == 12);
static_assert(create_bo_request == 0xc0106442);
static_assert(sizeof(mmap_bo) == 16 && offsetof(mmap_bo, offset) == 8 && mmap_bo_request == 0xc0106443);
static_assert(sizeof(get_bo_offset) == 8 && get_bo_offset_request == 0xc0086445);

} // namespace vcsm::kernel::v3d

namespace vcsm::kernel::vc4 {

inline constexpr unsigned long create_bo_request = DRM_IOCTL_VC4_CREATE_BO;
inline constexpr unsigned long mmap_bo_request = DRM_IOCTL_VC4_MMAP_BO;

static_assert(sizeof(drm_vc4_create_bo) == 16 && offsetof(drm_vc4_create_bo, handle) == 8);
static_assert(sizeof(drm_vc4_mmap_bo) == 16 && offsetof(drm_vc4_mmap_bo, offset) == 8);
static_assert(create_bo_request == 0xc0106443 && mmap_bo_request == 0xc0106444);

} // namespace vcsm::kernel::vc4
