// What the library of old got wrong, each by its name.
#include "running.hpp"

#include "kernel/calls.hpp"
#include "kernel/vcsm_cma.hpp"

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using fault_of_old = libvcsm_tests::running;

TEST_F(fault_of_old, five_hundred_and_thirteen_blocks_at_once) {
    vcsm_exit();
    ::setenv("VCSM_SIM_MEMORY", "256M", 1); // a page each may be 16 KiB
    vcsm::videocore::reset();
    ASSERT_EQ(vcsm_init(), 0);
    ::unsetenv("VCSM_SIM_MEMORY");
    std::vector<unsigned> handles;
    for (int i = 0; i < 10000; ++i) {
        handles.push_back(vcsm_malloc(100, "one of many"));
        ASSERT_NE(handles.back(), 0U) << "block " << i << ", errno " << errno;
    }
    for (const unsigned handle : handles) {
        ASSERT_EQ(vcsm_usr_handle(vcsm_usr_address(handle)), handle);
        vcsm_free(handle);
    }
}

TEST_F(fault_of_old, lock_cache_changes_the_cache_mode) {
    const unsigned handle = vcsm_malloc(100, "b");
    VCSM_CACHE_TYPE_T got = VCSM_CACHE_TYPE_NONE;
    EXPECT_NE(vcsm_lock_cache(handle, VCSM_CACHE_TYPE_HOST, &got), nullptr);
    EXPECT_EQ(got, VCSM_CACHE_TYPE_HOST);
}

TEST_F(fault_of_old, resize_resizes) {
    const unsigned handle = vcsm_malloc(100, "b");
    EXPECT_EQ(vcsm_resize(handle, 100000), 0);
    EXPECT_EQ(vcsm::blocks().front().size, 100000U);
}

TEST_F(fault_of_old, malloc_share_gives_a_second_handle) {
    const unsigned handle = vcsm_malloc(100, "b");
    EXPECT_NE(vcsm_malloc_share(handle), 0U);
    EXPECT_EQ(vcsm::videocore::list().size(), 1U);
}

TEST_F(fault_of_old, status_prints) {
    ASSERT_NE(vcsm_malloc(100, "printed"), 0U);
    testing::internal::CaptureStderr();
    vcsm_status(VCSM_STATUS_HOST_WALK_PID_ALLOC, -1);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("printed"), std::string::npos);
}

TEST_F(fault_of_old, exit_frees_every_block_and_a_late_free_is_harmless) {
    std::vector<unsigned> handles;
    for (int i = 0; i < 511; ++i) {
        handles.push_back(vcsm_malloc(100, "b"));
        ASSERT_NE(vcsm_lock(handles.back()), nullptr);
    }
    vcsm_exit();
    EXPECT_TRUE(vcsm::videocore::list().empty());
    for (const unsigned handle : handles) {
        vcsm_free(handle);
    }
    ASSERT_EQ(vcsm_init(), 0);
}

TEST_F(fault_of_old, a_block_that_was_asked_to_be_cached_is_cached) {
    const unsigned handle = vcsm_malloc_cache(100, VCSM_CACHE_TYPE_HOST, "b");
    ASSERT_NE(handle, 0U);
    EXPECT_EQ(vcsm::blocks().front().cache, vcsm::cache_mode::host);
    static_cast<char*>(vcsm_lock(handle))[0] = 1;
    EXPECT_EQ(seen_by_videocore(handle, 0), std::byte{0}) << "it is in the CPU's cache";
    EXPECT_EQ(vcsm_unlock_hdl(handle), 0);
    EXPECT_EQ(seen_by_videocore(handle, 0), std::byte{1});
}

TEST_F(fault_of_old, nothing_is_read_behind_a_short_name) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    auto* const memory =
        static_cast<char*>(::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    ASSERT_EQ(::mprotect(memory + page, page, PROT_NONE), 0);
    std::memcpy(memory + page - 6, "short", 6); // with its end
    EXPECT_NE(vcsm_malloc(100, memory + page - 6), 0U);
    EXPECT_EQ(vcsm::blocks().front().name, "short");
    ::munmap(memory, 2 * page);
}

/// Another VideoCore, which fails on demand.
void start_with_faults(const char* faults) {
    vcsm_exit();
    ::setenv("VCSM_SIM_FAULTS", faults, 1);
    vcsm::videocore::reset();
    ASSERT_EQ(vcsm_init(), 0);
    ::unsetenv("VCSM_SIM_FAULTS");
}

TEST_F(fault_of_old, a_block_that_cannot_be_mapped_is_freed_and_no_other) {
    start_with_faults("map@2=ENOMEM");
    const unsigned kept = vcsm_malloc(100, "kept");
    EXPECT_EQ(vcsm_malloc(100, "unmapped"), 0U);
    EXPECT_EQ(errno, ENOMEM);
    ASSERT_EQ(vcsm::videocore::list().size(), 1U);
    EXPECT_EQ(vcsm::videocore::list().front().name, "kept");
    EXPECT_NE(vcsm_usr_address(kept), nullptr);
    vcsm_exit();
    vcsm::videocore::reset();
    ASSERT_EQ(vcsm_init(), 0);
}

TEST_F(fault_of_old, a_synchronisation_that_a_signal_interrupts_is_repeated) {
    start_with_faults("sync@*=EINTR");
    const unsigned handle = vcsm_malloc_cache(100, VCSM_CACHE_TYPE_HOST, "b");
    auto* const memory = static_cast<char*>(vcsm_lock(handle));
    ASSERT_NE(memory, nullptr);
    memory[5] = 5;
    EXPECT_EQ(vcsm_unlock_ptr(memory), 0);
    EXPECT_EQ(seen_by_videocore(handle, 5), std::byte{5});
    vcsm_exit();
    vcsm::videocore::reset();
    ASSERT_EQ(vcsm_init(), 0);
}

TEST_F(fault_of_old, programs_that_are_started_inherit_no_descriptor) {
    const unsigned handle = vcsm_malloc(100, "b");
    const int exported = vcsm_export_dmabuf(handle);
    ASSERT_GE(exported, 0);
    int open = 0;
    for (int descriptor = 3; descriptor < 200; ++descriptor) {
        const int flags = ::fcntl(descriptor, F_GETFD);
        std::string target(100, '\0');
        const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
        const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
        if (flags >= 0 && length > 0 && target.find("memfd:") == 1) {
            ++open;
            EXPECT_NE(flags & FD_CLOEXEC, 0) << target;
        }
    }
    EXPECT_GT(open, 0) << "the simulated VideoCore has no descriptor, which cannot be";
    ::close(exported);
}

/// /dev/vcsm-cma as far as a block of it goes, with memory at bus addresses of the test's choice.
class high_memory final : public vcsm::kernel::calls {
  public:
    std::uint64_t bus_address = 0;

    int open(const char* path, int flags, mode_t mode) override {
        if (std::string_view{path} == vcsm::kernel::vcsm_cma::node) {
            return ::memfd_create("node", MFD_CLOEXEC);
        }
        if (std::string_view{path}.starts_with("/dev/dma_heap/")) {
            errno = ENOENT;
            return -1;
        }
        return calls::open(path, flags, mode);
    }
    int ioctl(int descriptor, unsigned long request, void* argument) override {
        if (request == vcsm::kernel::vcsm_cma::mem_clean_invalid2) {
            errno = EINVAL;
            return -1;
        }
        if (request != vcsm::kernel::vcsm_cma::mem_alloc) {
            return calls::ioctl(descriptor, request, argument);
        }
        auto& call = *static_cast<vcsm::kernel::vcsm_cma::alloc*>(argument);
        call.handle = ::memfd_create("block", MFD_CLOEXEC);
        call.vc_handle = 17;
        call.dma_addr = bus_address;
        return ::ftruncate(call.handle, static_cast<off_t>(call.size));
    }
};

TEST_F(fault_of_old, a_bus_address_above_32_bits_is_reported_as_one_and_the_block_stays_usable) {
    vcsm_exit();
    high_memory kernel;
    {
        const vcsm::kernel::scoped_calls in_force{kernel};
        ::setenv("VCSM_DEVICE", "vcsm-cma", 1);
        for (const std::uint64_t address : {0xffffff000ULL, 0x100000000ULL, 0x5c0000000ULL}) {
            EXPECT_EQ(vcsm_init(), 0);
            kernel.bus_address = address;
            const unsigned handle = vcsm_malloc(4096, "high");
            EXPECT_NE(handle, 0U);
            errno = 0;
            EXPECT_EQ(vcsm_vc_addr_from_hdl(handle), 0U) << address;
            EXPECT_EQ(errno, EOVERFLOW) << address;
            EXPECT_EQ(vcsm_vc_hdl_from_hdl(handle), 17U);
            EXPECT_NE(vcsm_lock(handle), nullptr);
            EXPECT_EQ(vcsm_unlock_hdl(handle), 0);
            EXPECT_EQ(vcsm::blocks().front().bus_address, address) << "C++ has it whole";
            vcsm_free(handle);
            vcsm_exit(); // the next is new memory also where freed blocks' memory is used again
        }
        EXPECT_EQ(vcsm_init(), 0);
        kernel.bus_address = 0xfffff000;
        const unsigned handle = vcsm_malloc(4096, "the last that fits");
        EXPECT_EQ(vcsm_vc_addr_from_hdl(handle), 0xfffff000U);
        vcsm_exit();
        ::setenv("VCSM_DEVICE", "simulated", 1);
    }
    ASSERT_EQ(vcsm_init(), 0);
    errno = 0;
    EXPECT_EQ(vcsm_vc_addr_from_hdl(12345), 0U);
    EXPECT_EQ(errno, EINVAL) << "a handle that is none is told apart from it";
}

TEST_F(fault_of_old, unlocking_without_a_flush_is_no_error) {
    const unsigned handle = vcsm_malloc_cache(100, VCSM_CACHE_TYPE_HOST, "b");
    ASSERT_NE(vcsm_lock(handle), nullptr);
    EXPECT_EQ(vcsm_unlock_hdl_sp(handle, 1), 0);
}

} // namespace
