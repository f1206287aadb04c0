// What every dma-buf speaks, from <linux/dma-buf.h>.
#pragma once

#include <cstddef>
#include <cstdint>

#include <linux/dma-buf.h>
#include <sys/ioctl.h> // some copies of that header leave out where _IOW comes from

namespace vcsm::kernel::dma_buf {

/// Bytes of a name that the kernel takes; a longer one is EINVAL.
inline constexpr std::size_t name_bytes = DMA_BUF_NAME_LEN - 1;

inline constexpr unsigned long sync = DMA_BUF_IOCTL_SYNC;
/// Its argument is a pointer, and with it the number follows the program's width. Kernels from 5.13 take both numbers
/// from either; older ones know that of their own width alone.
inline constexpr unsigned long set_name = _IOW(DMA_BUF_BASE, 1, const char*);
inline constexpr unsigned long set_name_a = _IOW(DMA_BUF_BASE, 1, std::uint32_t);
inline constexpr unsigned long set_name_b = _IOW(DMA_BUF_BASE, 1, std::uint64_t);

static_assert(sync == 0x40086200);
static_assert(set_name_a == 0x40046201 && set_name_b == 0x40086201);
static_assert(set_name == (sizeof(void*) == 4 ? set_name_a : set_name_b));
static_assert(sizeof(dma_buf_sync) == 8 && name_bytes == 31);
static_assert(DMA_BUF_SYNC_READ == 1 && DMA_BUF_SYNC_WRITE == 2 && DMA_BUF_SYNC_START == 0 && DMA_BUF_SYNC_END == 4);

} // namespace vcsm::kernel::dma_buf
