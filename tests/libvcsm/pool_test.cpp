// With VCSM_POOL=1: the memory of a freed block is the next one's, and nothing else is different. The whole suite runs
// with it too; here is what can be seen of it alone.
#include "running.hpp"

#include <vcsm/videocore.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr unsigned size = 100000;

// Asked once a process, before its first block.
[[maybe_unused]] const int asked_for = ::setenv("VCSM_POOL", "1", 1);

class with_pool : public libvcsm_tests::running {
  protected:
    void SetUp() override {
        ::unsetenv("VCSM_SIM_MEMORY");
        vcsm::videocore::reset();
        libvcsm_tests::running::SetUp();
    }
    void TearDown() override {
        libvcsm_tests::running::TearDown();
        EXPECT_TRUE(vcsm::videocore::list().empty()) << "vcsm_exit() gives all back, what was kept too";
    }

    static void fill(unsigned handle, int byte) {
        void* const memory = vcsm_lock(handle);
        ASSERT_NE(memory, nullptr);
        std::memset(memory, byte, size);
        ASSERT_EQ(vcsm_unlock_hdl(handle), 0);
    }
    static bool is_zero(unsigned handle) {
        std::vector<std::byte> seen(size, std::byte{1});
        vcsm::videocore::read(vcsm_vc_hdl_from_hdl(handle), 0, seen);
        const auto* const memory = static_cast<const std::byte*>(vcsm_lock(handle));
        const auto zero = [](std::byte byte) { return byte == std::byte{0}; };
        const bool both = std::all_of(seen.begin(), seen.end(), zero) && std::all_of(memory, memory + size, zero);
        return vcsm_unlock_hdl(handle) == 0 && both;
    }
};

TEST_F(with_pool, the_memory_of_a_freed_block_is_the_next_ones_and_zero) {
    for (const VCSM_CACHE_TYPE_T cache : {VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST}) {
        const unsigned first = vcsm_malloc_cache(size, cache, "first");
        fill(first, 0xff);
        const unsigned videocore_handle = vcsm_vc_hdl_from_hdl(first);
        const void* const address = vcsm_usr_address(first);
        vcsm_free(first);
        const unsigned second = vcsm_malloc_cache(size - 1, cache, "second"); // as many pages
        EXPECT_NE(second, first) << "handles are not used again";
        EXPECT_EQ(vcsm_vc_hdl_from_hdl(second), videocore_handle);
        EXPECT_EQ(vcsm_usr_address(second), address);
        EXPECT_TRUE(is_zero(second));
        ASSERT_EQ(vcsm::blocks().size(), 1U);
        EXPECT_EQ(vcsm::blocks().front().name, "second");
        EXPECT_EQ(vcsm::blocks().front().size, size - 1);
        EXPECT_EQ(vcsm_lock(first), nullptr) << "the old handle is dead";
        EXPECT_EQ(vcsm_usr_handle(const_cast<void*>(address)), second);
        vcsm_free(second);
    }
}

TEST_F(with_pool, another_size_and_another_cache_mode_is_other_memory) {
    const unsigned first = vcsm_malloc(size, "first");
    const unsigned videocore_handle = vcsm_vc_hdl_from_hdl(first);
    vcsm_free(first);
    const unsigned larger = vcsm_malloc(2 * size, "larger");
    const unsigned cached = vcsm_malloc_cache(size, VCSM_CACHE_TYPE_HOST, "cached");
    EXPECT_NE(vcsm_vc_hdl_from_hdl(larger), videocore_handle);
    EXPECT_NE(vcsm_vc_hdl_from_hdl(cached), videocore_handle);
    const unsigned same = vcsm_malloc(size, "same");
    EXPECT_EQ(vcsm_vc_hdl_from_hdl(same), videocore_handle);
    for (const unsigned each : {larger, cached, same}) {
        vcsm_free(each);
    }
}

TEST_F(with_pool, a_shared_block_is_kept_when_its_last_handle_is_freed) {
    const unsigned first = vcsm_malloc(size, "shared");
    const unsigned second = vcsm_malloc_share(first);
    const unsigned videocore_handle = vcsm_vc_hdl_from_hdl(first);
    vcsm_free(first);
    const unsigned other = vcsm_malloc(size, "other");
    EXPECT_NE(vcsm_vc_hdl_from_hdl(other), videocore_handle);
    vcsm_free(second);
    const unsigned next = vcsm_malloc(size, "next");
    EXPECT_EQ(vcsm_vc_hdl_from_hdl(next), videocore_handle);
    vcsm_free(other);
    vcsm_free(next);
}

TEST_F(with_pool, what_was_exported_stays_what_it_was) {
    const unsigned first = vcsm_malloc(size, "exported");
    const int descriptor = vcsm_export_dmabuf(first);
    ASSERT_GE(descriptor, 0);
    fill(first, 7);
    const unsigned videocore_handle = vcsm_vc_hdl_from_hdl(first);
    vcsm_free(first);
    const unsigned next = vcsm_malloc(size, "next");
    EXPECT_NE(vcsm_vc_hdl_from_hdl(next), videocore_handle);
    fill(next, 9);
    void* const seen = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
    ASSERT_NE(seen, MAP_FAILED);
    EXPECT_EQ(static_cast<const unsigned char*>(seen)[0], 7);
    EXPECT_EQ(static_cast<const unsigned char*>(seen)[size - 1], 7);
    ::munmap(seen, size);
    ::close(descriptor);
    vcsm_free(next);
}

TEST_F(with_pool, a_block_that_is_freed_locked_goes_to_the_driver) {
    const unsigned first = vcsm_malloc(size, "locked");
    const unsigned videocore_handle = vcsm_vc_hdl_from_hdl(first);
    ASSERT_NE(vcsm_lock(first), nullptr);
    vcsm_free(first);
    EXPECT_TRUE(vcsm::videocore::list().empty());
    const unsigned next = vcsm_malloc(size, "next");
    EXPECT_NE(vcsm_vc_hdl_from_hdl(next), videocore_handle);
    EXPECT_TRUE(is_zero(next));
    vcsm_free(next);
}

TEST_F(with_pool, resizing_gives_other_memory_and_keeps_the_old) {
    const unsigned first = vcsm_malloc(size, "resized");
    fill(first, 5);
    const unsigned videocore_handle = vcsm_vc_hdl_from_hdl(first);
    ASSERT_EQ(vcsm_resize(first, 3 * size), 0);
    EXPECT_NE(vcsm_vc_hdl_from_hdl(first), videocore_handle);
    EXPECT_EQ(seen_by_videocore(first, size - 1), std::byte{5});
    EXPECT_EQ(seen_by_videocore(first, size), std::byte{0});
    const unsigned next = vcsm_malloc(size, "next");
    EXPECT_EQ(vcsm_vc_hdl_from_hdl(next), videocore_handle);
    EXPECT_TRUE(is_zero(next));
    const unsigned resized_to = vcsm_vc_hdl_from_hdl(first);
    vcsm_free(first);
    const unsigned third = vcsm_malloc(3 * size, "third");
    EXPECT_EQ(vcsm_vc_hdl_from_hdl(third), resized_to) << "what it was resized to is kept as well";
    vcsm_free(next);
    vcsm_free(third);
}

TEST_F(with_pool, another_cache_mode_is_other_memory_with_the_content) {
    const unsigned first = vcsm_malloc(size, "changed");
    fill(first, 3);
    VCSM_CACHE_TYPE_T got = VCSM_CACHE_TYPE_NONE;
    const auto* const memory = static_cast<const std::byte*>(vcsm_lock_cache(first, VCSM_CACHE_TYPE_HOST, &got));
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(got, VCSM_CACHE_TYPE_HOST);
    EXPECT_EQ(memory[size - 1], std::byte{3});
    EXPECT_EQ(vcsm_unlock_hdl(first), 0);
    vcsm_free(first);
    const unsigned cached = vcsm_malloc_cache(size, VCSM_CACHE_TYPE_HOST, "cached");
    const unsigned uncached = vcsm_malloc(size, "uncached");
    EXPECT_EQ(vcsm::videocore::list().size(), 2U) << "both were there";
    EXPECT_TRUE(is_zero(cached));
    EXPECT_TRUE(is_zero(uncached));
    vcsm_free(cached);
    vcsm_free(uncached);
}

TEST_F(with_pool, what_is_kept_makes_room_where_memory_is_short) {
    vcsm_exit();
    ::setenv("VCSM_SIM_MEMORY", "4M", 1);
    vcsm::videocore::reset();
    ASSERT_EQ(vcsm_init(), 0);
    const unsigned most = vcsm_malloc(3U << 20U, "most of it");
    ASSERT_NE(most, 0U);
    vcsm_free(most);
    const unsigned other = vcsm_malloc_cache(2U << 20U, VCSM_CACHE_TYPE_HOST, "other");
    EXPECT_NE(other, 0U);
    vcsm_free(other);
    {
        const vcsm::shared_memory from_cpp{4U << 20U, "all of it"};
        EXPECT_EQ(vcsm::videocore::list().size(), 1U);
    }
    errno = 0;
    EXPECT_EQ(vcsm_malloc(5U << 20U, "more than there is"), 0U);
    EXPECT_EQ(errno, ENOMEM);
}

TEST_F(with_pool, no_more_than_64_mib_are_kept_and_the_oldest_goes_first) {
    constexpr unsigned large = 30U << 20U;
    const unsigned small = vcsm_malloc(size, "small");
    vcsm_free(small);
    std::vector<unsigned> handles;
    for (int i = 0; i < 3; ++i) {
        handles.push_back(vcsm_malloc(large, "large"));
        ASSERT_NE(handles.back(), 0U);
    }
    for (const unsigned each : handles) {
        vcsm_free(each);
    }
    std::size_t kept = 0;
    for (const auto& block : vcsm::videocore::list()) {
        kept += block.capacity;
        EXPECT_EQ(block.name, "large") << "the small one was the oldest";
    }
    EXPECT_EQ(kept, 2 * large);
    const unsigned too_large = vcsm_malloc(65U << 20U, "too large");
    ASSERT_NE(too_large, 0U);
    vcsm_free(too_large);
    for (const auto& block : vcsm::videocore::list()) {
        EXPECT_NE(block.name, "too large");
    }
}

TEST_F(with_pool, a_child_has_nothing_of_what_its_parent_kept) {
    const unsigned first = vcsm_malloc(size, "parent's");
    const unsigned videocore_handle = vcsm_vc_hdl_from_hdl(first);
    vcsm_free(first);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const bool none = vcsm_init() == 0 && vcsm::videocore::list().empty();
        const unsigned own = vcsm_malloc(size, "child's");
        const bool works = own != 0 && is_zero(own);
        vcsm_exit();
        ::_exit(none && works ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    const unsigned next = vcsm_malloc(size, "next");
    EXPECT_EQ(vcsm_vc_hdl_from_hdl(next), videocore_handle);
    EXPECT_TRUE(is_zero(next));
    vcsm_free(next);
}

} // namespace
