// What programs pass by mistake: it is refused as documented, and nothing crashes.
#include "running.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace {

using bad_input = libvcsm_tests::running;

std::string name_of(unsigned handle) {
    const auto all = vcsm::blocks();
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.handle == handle; });
    return found == all.end() ? "(none)" : found->name;
}

/// Memory whose end is followed by some that cannot be read.
class cliff {
  public:
    explicit cliff(std::size_t pages = 2) : bytes_{pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))} {
        const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        memory_ = static_cast<char*>(
            ::mmap(nullptr, bytes_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        EXPECT_EQ(::mprotect(memory_ + bytes_, page, PROT_NONE), 0);
    }
    cliff(const cliff&) = delete;
    cliff& operator=(const cliff&) = delete;
    ~cliff() { ::munmap(memory_, bytes_ + static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))); }

    /// The bytes, the last of them the last that can be read.
    const char* with(std::string_view text) {
        std::memcpy(memory_ + bytes_ - text.size(), text.data(), text.size());
        return memory_ + bytes_ - text.size();
    }

  private:
    std::size_t bytes_;
    char* memory_;
};

TEST_F(bad_input, names_of_every_length_are_kept_whole) {
    for (const std::size_t length : {0U, 1U, 31U, 32U, 33U, 4096U}) {
        const std::string name(length, 'n');
        EXPECT_EQ(name_of(vcsm_malloc(100, name.c_str())), name) << length;
    }
    EXPECT_EQ(name_of(vcsm_malloc(100, nullptr)), "");
}

TEST_F(bad_input, a_name_beyond_all_measure_is_cut) {
    EXPECT_EQ(name_of(vcsm_malloc(100, std::string(100000, 'n').c_str())), std::string(4096, 'n'));
}

TEST_F(bad_input, a_name_without_an_end_is_read_up_to_the_end_of_the_memory) {
    for (const std::size_t length : {1U, 31U, 32U, 3000U}) {
        cliff memory;
        const std::string name(length, 'n');
        EXPECT_EQ(name_of(vcsm_malloc(100, memory.with(name))), name) << length;
        EXPECT_EQ(name_of(vcsm_malloc_cache(100, VCSM_CACHE_TYPE_HOST, memory.with(name))), name) << length;
    }
}

TEST_F(bad_input, handles_that_are_none_are_refused_by_every_function) {
    const unsigned freed = vcsm_malloc(100, "freed");
    vcsm_free(freed);
    for (const unsigned handle : {0U, freed, freed + 1000, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
        SCOPED_TRACE(handle);
        VCSM_CACHE_TYPE_T got = VCSM_CACHE_TYPE_NONE;
        EXPECT_EQ(vcsm_malloc_share(handle), 0U);
        EXPECT_EQ(vcsm_resize(handle, 100), -EINVAL);
        EXPECT_EQ(vcsm_vc_hdl_from_hdl(handle), 0U);
        EXPECT_EQ(vcsm_vc_addr_from_hdl(handle), 0U);
        EXPECT_EQ(vcsm_usr_address(handle), nullptr);
        EXPECT_EQ(vcsm_lock(handle), nullptr);
        EXPECT_EQ(vcsm_lock_cache(handle, VCSM_CACHE_TYPE_HOST, &got), nullptr);
        EXPECT_EQ(vcsm_unlock_hdl(handle), -EINVAL);
        EXPECT_EQ(vcsm_unlock_hdl_sp(handle, 1), -EINVAL);
        EXPECT_EQ(vcsm_export_dmabuf(handle), -EINVAL);
        errno = 0;
        vcsm_free(handle);
        EXPECT_EQ(errno, EINVAL);
    }
}

TEST_F(bad_input, a_stopped_service_refuses_everything) {
    const unsigned handle = vcsm_malloc(100, "b");
    void* const address = vcsm_usr_address(handle);
    vcsm_exit();
    for (const char* const when : {"after the exit", "after another exit"}) {
        SCOPED_TRACE(when);
        EXPECT_EQ(vcsm_malloc(100, "b"), 0U);
        EXPECT_EQ(errno, ENODEV);
        EXPECT_EQ(vcsm_malloc_cache(100, VCSM_CACHE_TYPE_HOST, "b"), 0U);
        EXPECT_EQ(vcsm_malloc_share(handle), 0U);
        EXPECT_EQ(vcsm_resize(handle, 200), -EINVAL);
        EXPECT_EQ(vcsm_lock(handle), nullptr);
        EXPECT_EQ(vcsm_lock_cache(handle, VCSM_CACHE_TYPE_HOST, nullptr), nullptr);
        EXPECT_EQ(vcsm_unlock_hdl(handle), -EINVAL);
        EXPECT_EQ(vcsm_unlock_ptr(address), -EINVAL);
        EXPECT_EQ(vcsm_usr_handle(address), 0U);
        EXPECT_EQ(vcsm_vc_hdl_from_ptr(address), 0U);
        EXPECT_EQ(vcsm_vc_hdl_from_hdl(handle), 0U);
        EXPECT_EQ(vcsm_export_dmabuf(handle), -EINVAL);
        EXPECT_EQ(vcsm_import_dmabuf(0, "b"), 0U);
        EXPECT_EQ(errno, ENODEV);
        EXPECT_FALSE(vcsm::service_running()) << "nothing of this starts the service";
        vcsm_exit();
    }
    ASSERT_EQ(vcsm_init(), 0);
}

TEST_F(bad_input, two_threads_that_free_the_same_handle_free_it_once) {
    for (int round = 0; round < 200; ++round) {
        const unsigned handle = vcsm_malloc(100, "b");
        const unsigned kept = vcsm_malloc_share(handle);
        std::vector<std::thread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([&] { vcsm_free(handle); });
        }
        for (std::thread& one : threads) {
            one.join();
        }
        ASSERT_NE(vcsm_usr_address(kept), nullptr) << "the second free took another's count";
        vcsm_free(kept);
        ASSERT_EQ(vcsm_usr_address(kept), nullptr);
    }
}

TEST_F(bad_input, threads_that_lock_resize_and_free_the_same_handle_harm_nothing) {
    for (int round = 0; round < 50; ++round) {
        const unsigned handle = vcsm_malloc_cache(5000, VCSM_CACHE_TYPE_HOST, "b");
        std::vector<std::thread> threads;
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                if (vcsm_lock(handle) != nullptr) {
                    const int unlocked = vcsm_unlock_hdl(handle);
                    EXPECT_TRUE(unlocked == 0 || unlocked == -EINVAL) << unlocked;
                }
            }
        });
        threads.emplace_back([&] {
            for (int i = 0; i < 20; ++i) {
                const int resized = vcsm_resize(handle, 1000U + static_cast<unsigned>(i) * 1000U);
                EXPECT_TRUE(resized == 0 || resized == -EBUSY || resized == -EINVAL || resized == -EBADF) << resized;
            }
        });
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                (void)vcsm_usr_handle(vcsm_usr_address(handle));
                (void)vcsm_vc_hdl_from_hdl(handle);
            }
            vcsm_free(handle);
        });
        for (std::thread& one : threads) {
            one.join();
        }
        ASSERT_EQ(vcsm_usr_address(handle), nullptr);
    }
    EXPECT_TRUE(vcsm::blocks().empty());
    if (std::getenv("VCSM_POOL") == nullptr) { // which keeps the memory for the next block
        EXPECT_TRUE(vcsm::videocore::list().empty());
    }
}

} // namespace
