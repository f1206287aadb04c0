// libvcsm.so beside the same system calls made by hand.
//
// The device is a stand-in inside this process, so that no driver's time hides the library's: it answers an allocation
// with a memfd, and a synchronisation with one call into the kernel that does nothing. What both sides ask of it is the
// same, and so are mmap, munmap and close, which are the system's own. Rounds of both sides alternate, so that whatever
// else the machine does meanwhile meets both; of the rounds' ratios the median counts.
//
//   benchmark_libvcsm          prints time, limit and verdict; ends with 1 if a limit is passed
#include "kernel/calls.hpp"
#include "kernel/dma_buf.hpp"
#include "kernel/dma_heap.hpp"
#include "kernel/vcsm_cma.hpp"

#include <vcsm/vcsm.hpp>

#include <interface/vcsm/user-vcsm.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

namespace driver = vcsm::kernel::vcsm_cma;

class stand_in final : public vcsm::kernel::calls {
  public:
    int open(const char* path, int flags, mode_t mode) override {
        const std::string_view wanted{path};
        if (wanted == driver::node || wanted == "/dev/dma_heap/linux,cma") {
            return calls::open("/dev/null", O_RDWR | O_CLOEXEC, 0);
        }
        if (wanted.starts_with("/dev/dma_heap/")) {
            errno = ENOENT;
            return -1;
        }
        return calls::open(path, flags, mode);
    }
    /// Not to be compiled into the caller: a driver is not, and what is by hand could be, what goes through the library
    /// could not.
    [[gnu::noinline]] int ioctl(int descriptor, unsigned long request, void* argument) override {
        switch (request) {
        case driver::mem_alloc: {
            auto& call = *static_cast<driver::alloc*>(argument);
            call.handle = block(call.size);
            call.vc_handle = ++last_;
            call.dma_addr = 0xc0000000U;
            return call.handle < 0 ? -1 : 0;
        }
        case driver::mem_import_dmabuf: {
            auto& call = *static_cast<driver::import_dmabuf*>(argument);
            call.handle = ::fcntl(call.dmabuf_fd, F_DUPFD_CLOEXEC, 0);
            call.vc_handle = ++last_;
            call.dma_addr = 0xc0000000U;
            return call.handle < 0 ? -1 : 0;
        }
        case driver::mem_clean_invalid2:
            errno = EINVAL;
            return -1;
        case DMA_HEAP_IOCTL_ALLOC: {
            auto& call = *static_cast<dma_heap_allocation_data*>(argument);
            const int made = block(call.len);
            call.fd = static_cast<std::uint32_t>(made);
            return made < 0 ? -1 : 0;
        }
        default:                                          // synchronisations, names
            (void)::ioctl(descriptor, request, argument); // a memfd knows no such request: the way in and out again
            return 0;
        }
    }

  private:
    static int block(std::uint64_t bytes) {
        const int memfd = ::memfd_create("block", MFD_CLOEXEC);
        if (memfd >= 0 && ::ftruncate(memfd, static_cast<off_t>(bytes)) != 0) {
            ::close(memfd);
            return -1;
        }
        return memfd;
    }
    std::uint32_t last_ = 0;
};

/// This thread's own time, in the kernel too: nothing here waits, and what other programs take does not count.
double nanoseconds_now() {
    struct timespec now {};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double nanoseconds_each(int times, const std::function<void(int)>& work) {
    const double begin = nanoseconds_now();
    work(times);
    return (nanoseconds_now() - begin) / times;
}

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

bool all_within = true;

void must(bool held, const char* what) {
    if (!held) {
        std::perror(what);
        std::exit(2);
    }
}

void compare(const char* what, std::optional<double> limit, int times, const std::function<void(int)>& by_hand,
             const std::function<void(int)>& ours) {
    constexpr int rounds = 41;
    std::vector<double> hand_times;
    std::vector<double> our_times;
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
        hand_times.push_back(nanoseconds_each(times, by_hand));
        our_times.push_back(nanoseconds_each(times, ours));
        ratios.push_back(our_times.back() / hand_times.back());
    }
    const double ratio = median(ratios);
    std::printf("%-34s %10.1f ns by hand %10.1f ns libvcsm   %.3f of it", what, median(hand_times), median(our_times),
                ratio);
    if (!limit) {
        std::printf("\n");
        return;
    }
    const bool within = ratio <= *limit;
    all_within = all_within && within;
    std::printf(" (limit %.2f) %s\n", *limit, within ? "" : "TOO SLOW");
}

void time_alone(const char* what, double limit, int times, const std::function<void(int)>& ours) {
    constexpr int rounds = 41;
    std::vector<double> our_times(rounds);
    for (double& time : our_times) {
        time = nanoseconds_each(times, ours);
    }
    const double own = median(our_times);
    const bool within = own <= limit;
    all_within = all_within && within;
    std::printf("%-34s %10.1f ns (limit %.0f) %s\n", what, own, limit, within ? "" : "TOO SLOW");
}

void against_calls_by_hand() {
    stand_in kernel;
    const vcsm::kernel::scoped_calls in_force{kernel};
    vcsm::use("vcsm-cma");
    must(vcsm_init() == 0, "vcsm_init");
    const int node = kernel.open(driver::node, O_RDWR, 0);

    const auto allocate_by_hand = [&](std::uint32_t bytes) {
        return [&, bytes](int times) {
            for (int i = 0; i < times; ++i) {
                driver::alloc call{};
                call.size = bytes;
                call.num = 1;
                std::memcpy(call.name, "bench", 6);
                must(kernel.ioctl(node, driver::mem_alloc, &call) == 0, "by hand: ioctl");
                void* const memory = kernel.mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, call.handle, 0);
                must(memory != MAP_FAILED, "by hand: mmap");
                kernel.munmap(memory, bytes);
                kernel.close(call.handle);
            }
        };
    };
    const auto allocate = [](std::uint32_t bytes) {
        return [bytes](int times) {
            for (int i = 0; i < times; ++i) {
                const unsigned handle = vcsm_malloc(bytes, "bench");
                must(handle != 0, "vcsm_malloc");
                vcsm_free(handle);
            }
        };
    };
    compare("allocate + free, 4 KiB", 1.15, 500, allocate_by_hand(4096), allocate(4096));
    compare("allocate + free, 1 MiB", 1.15, 500, allocate_by_hand(1 << 20), allocate(1 << 20));
    // The library maps a block at its first lock, so that those which the CPU never looks at need not be; what is by
    // hand maps each. Here both do.
    compare("the same + first lock, 4 KiB", std::nullopt, 500, allocate_by_hand(4096), [](int times) {
        for (int i = 0; i < times; ++i) {
            const unsigned handle = vcsm_malloc(4096, "bench");
            must(vcsm_lock(handle) != nullptr, "vcsm_lock");
            vcsm_free(handle);
        }
    });

    const auto lock_by_hand = [&](int descriptor) {
        return [&, descriptor](int times) {
            for (int i = 0; i < times; ++i) {
                dma_buf_sync start{DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW};
                kernel.ioctl(descriptor, DMA_BUF_IOCTL_SYNC, &start);
                dma_buf_sync end{DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW};
                kernel.ioctl(descriptor, DMA_BUF_IOCTL_SYNC, &end);
            }
        };
    };
    const auto lock = [](unsigned handle) {
        return [handle](int times) {
            for (int i = 0; i < times; ++i) {
                (void)vcsm_lock(handle);
                (void)vcsm_unlock_hdl(handle);
            }
        };
    };
    const auto lock_by_pointer = [](unsigned handle) {
        return [handle](int times) {
            for (int i = 0; i < times; ++i) {
                (void)vcsm_unlock_ptr(vcsm_lock(handle));
            }
        };
    };
    const unsigned cached = vcsm_malloc_cache(4096, VCSM_CACHE_TYPE_HOST, "cached");
    const unsigned uncached = vcsm_malloc(4096, "uncached");
    must(cached != 0 && uncached != 0, "vcsm_malloc_cache");
    const int descriptor = vcsm_export_dmabuf(cached);
    must(descriptor >= 0, "vcsm_export_dmabuf");
    compare("lock + unlock, cached block", 1.1, 5000, lock_by_hand(descriptor), lock(cached));
    compare("lock + unlock_ptr, cached block", 1.1, 5000, lock_by_hand(descriptor), lock_by_pointer(cached));
    compare("lock + unlock, uncached block", 1.1, 5000, lock_by_hand(descriptor), lock(uncached));
    ::close(descriptor);
    ::close(node);
    vcsm_exit();
}

void look_ups() {
    constexpr int blocks = 10000;
    vcsm::use("simulated");
    must(vcsm_init() == 0, "vcsm_init");
    std::vector<unsigned> handles;
    for (int i = 0; i < blocks; ++i) {
        handles.push_back(vcsm_malloc(4096, "one of many"));
        must(handles.back() != 0, "vcsm_malloc");
        must(vcsm_vc_hdl_from_hdl(handles.back()) != 0, "vcsm_vc_hdl_from_hdl");
    }
    std::mt19937 random{1}; // NOLINT(cert-msc51-cpp): the same order in every run
    std::shuffle(handles.begin(), handles.end(), random);
    std::vector<void*> addresses;
    addresses.reserve(handles.size());
    for (const unsigned handle : handles) {
        addresses.push_back(static_cast<char*>(vcsm_usr_address(handle)) + random() % 4096);
    }
    unsigned sum = 0;
    time_alone("vcsm_vc_hdl_from_hdl, 10000 blocks", 30, blocks, [&](int times) {
        for (int i = 0; i < times; ++i) {
            sum += vcsm_vc_hdl_from_hdl(handles[static_cast<std::size_t>(i)]);
        }
    });
    time_alone("vcsm_usr_handle, 10000 blocks", 30, blocks, [&](int times) {
        for (int i = 0; i < times; ++i) {
            sum += vcsm_usr_handle(addresses[static_cast<std::size_t>(i)]);
        }
    });
    volatile unsigned used = sum;
    (void)used;
    vcsm_exit();
}

} // namespace

int main() {
    against_calls_by_hand();
    look_ups();
    return all_within ? 0 : 1;
}
