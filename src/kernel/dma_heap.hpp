// What /dev/dma_heap/* speak, from <linux/dma-heap.h>.
#pragma once

#include <cstddef>

#include <linux/dma-heap.h>

namespace vcsm::kernel::dma_heap {

inline constexpr const char* directory = "/dev/dma_heap";

inline constexpr unsigned long alloc = DMA_HEAP_IOCTL_ALLOC;

static_assert(alloc == 0xc0184800 && sizeof(dma_heap_allocation_data) == 24);
static_assert(offsetof(dma_heap_allocation_data, len) == 0 && offsetof(dma_heap_allocation_data, fd) == 8);
static_assert(offsetof(dma_heap_allocation_data, fd_flags) == 12);
static_assert(offsetof(dma_heap_allocation_data, heap_flags) == 16);

} // namespace vcsm::kernel::dma_heap
