// Order between the CPU's accesses to shared memory and those of a device that is not a CPU.
#pragma once

#include <atomic>

namespace vcsm::kernel {

/// Every access to memory before it is done, for the whole system to see, before any after it begins. The language's
/// own fences order accesses among CPUs only, and leave what sits in a write buffer where it is.
inline void memory_barrier() noexcept {
#if defined(__aarch64__) || (defined(__ARM_ARCH) && __ARM_ARCH >= 7)
    __asm__ volatile("dsb sy" ::: "memory");
#elif defined(__arm__) && defined(__ARM_ARCH) && __ARM_ARCH == 6 && !defined(__thumb__)
    __asm__ volatile("mcr p15, 0, %0, c7, c10, 4" ::"r"(0) : "memory"); // data synchronisation barrier of ARMv6
#elif defined(__x86_64__) || defined(__SSE2__)
    __asm__ volatile("mfence" ::: "memory");
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

} // namespace vcsm::kernel
