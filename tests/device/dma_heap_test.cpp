#include "device/dma_heap.hpp"

#include "device/fake_drivers.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using vcsm::cache_mode;
using vcsm::device::direction;

class dma_heap : public testing::Test {
  protected:
    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    fakes::heap_driver driver_{in_, "system", false};
};

TEST_F(dma_heap, a_block_is_one_allocation_of_the_heap) {
    const auto device = vcsm::device::open_dma_heap("system");
    EXPECT_EQ(device->name(), "dma-heap:system");
    EXPECT_EQ(in_.log.at(0), "open /dev/dma_heap/system r cloexec");
    in_.forget();
    auto block = device->allocate({5000, "frame", cache_mode::none, 1});
    const std::size_t bytes = fakes::in_pages(5000);
    EXPECT_THAT(in_.log, ElementsAre("ioctl /dev/dma_heap/system c0184800", fakes::set_name_call()));
    EXPECT_THAT(in_.requests.at(0).argument, fakes::word(bytes) + " 00000000 00000000 02000800 00000000 00000000");
    EXPECT_EQ(block->granted_cache(), cache_mode::host) << "a heap's memory is cached, whatever was asked for";
    EXPECT_EQ(block->capacity(), bytes);
    EXPECT_EQ(driver_.blocks.last()->name, "frame");
    EXPECT_THROW((void)block->videocore_handle(), vcsm::not_supported);
    EXPECT_THROW((void)block->bus_address(), vcsm::not_supported);
    in_.forget();
    block->begin_access(direction::read_write);
    block->end_access(direction::read_write);
    EXPECT_THAT(in_.arguments_of(0x40086200), ElementsAre("03000000 00000000", "07000000 00000000"));
    block.reset();
    EXPECT_EQ(driver_.blocks.count(), 0U);
    EXPECT_EQ(in_.open_descriptors(), 1U);
    EXPECT_EQ(in_.mapped_bytes(), 0U);
}

TEST_F(dma_heap, a_name_longer_than_the_kernels_is_cut_and_not_lost) {
    const auto device = vcsm::device::open_dma_heap("system");
    const auto block = device->allocate({1, std::string(40, 'n'), cache_mode::host, 1});
    EXPECT_EQ(driver_.blocks.last()->name, std::string(31, 'n'));
}

TEST_F(dma_heap, an_alignment_beyond_a_page_is_kept_and_leaves_no_room_mapped) {
    const auto device = vcsm::device::open_dma_heap("system");
    for (const std::size_t alignment : {std::size_t{8192}, std::size_t{65536}, std::size_t{1} << 21}) {
        auto block = device->allocate({12288, "x", cache_mode::host, alignment});
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->map()) % alignment, 0U);
        block->data()[12287] = std::byte{1};
        EXPECT_EQ(in_.mapped_bytes(), fakes::in_pages(12288));
        block.reset();
        EXPECT_EQ(in_.mapped_bytes(), 0U);
        EXPECT_TRUE(in_.crashes.empty());
    }
}

TEST_F(dma_heap, each_refusal_is_passed_on_and_leaves_nothing) {
    const auto device = vcsm::device::open_dma_heap("system");
    in_.add_text("/proc/meminfo", "MemTotal: 900000 kB\nMemAvailable:   100 kB\n");
    for (const int value : {ENOMEM, EINVAL, EMFILE, EFAULT}) {
        in_.fail_next("ioctl c0184800", {value});
        try {
            (void)device->allocate({4096, "x", cache_mode::host, 1});
            FAIL() << "allocated";
        } catch (const vcsm::error& refused) {
            EXPECT_EQ(refused.code().value(), value);
            EXPECT_EQ(std::string{refused.what()}.find("102400 bytes") != std::string::npos, value == ENOMEM);
        }
        EXPECT_EQ(in_.open_descriptors(), 1U);
    }
}

TEST_F(dma_heap, contiguous_memory_that_is_used_up_is_out_of_memory) {
    fakes::heap_driver contiguous{in_, "linux,cma", true};
    const std::size_t page = fakes::in_pages(1);
    contiguous.free_bytes = page;
    const auto device = vcsm::device::open_dma_heap("linux,cma");
    EXPECT_THROW((void)device->allocate({2 * page, "x", cache_mode::host, 1}), vcsm::out_of_memory);
    EXPECT_NO_THROW((void)device->allocate({page, "x", cache_mode::host, 1}));
}

TEST_F(dma_heap, more_than_the_system_has_is_never_asked_of_a_heap_that_refuses_nothing) {
    constexpr std::size_t mebibyte = std::size_t{1} << 20;
    driver_.free_bytes = 4 * mebibyte;
    in_.add_text("/proc/meminfo", "MemTotal: 900000 kB\nMemAvailable:   4096 kB\n");
    const auto device = vcsm::device::open_dma_heap("system");
    try {
        (void)device->allocate({4 * mebibyte + 1, "x", cache_mode::host, 1});
        FAIL() << "allocated";
    } catch (const vcsm::out_of_memory& refused) {
        EXPECT_THAT(refused.what(), HasSubstr("4194304 bytes of memory are available"));
    }
    EXPECT_THAT(in_.crashes, testing::IsEmpty());
    EXPECT_NO_THROW((void)device->allocate({4 * mebibyte, "x", cache_mode::host, 1}));
}

TEST_F(dma_heap, whichever_call_fails_nothing_is_left) {
    const auto device = vcsm::device::open_dma_heap("system");
    for (const std::size_t alignment : {std::size_t{1}, std::size_t{65536}}) {
        for (int nth = 1;; ++nth) {
            in_.calls_made = 0;
            in_.fail_at = nth;
            in_.fail_with = ENOMEM;
            try {
                (void)device->allocate({8192, "x", cache_mode::host, alignment})->map();
            } catch (const vcsm::out_of_memory&) {
            }
            EXPECT_EQ(in_.open_descriptors(), 1U) << nth;
            EXPECT_EQ(in_.mapped_bytes(), 0U) << nth;
            if (in_.calls_made < nth) {
                EXPECT_GT(nth, 2);
                break;
            }
        }
    }
}

TEST_F(dma_heap, a_heap_that_may_not_be_opened_says_whom_to_ask) {
    in_.refuse("/dev/dma_heap/system", EACCES);
    for (const auto name : {std::optional<std::string_view>{"system"}, std::optional<std::string_view>{}}) {
        try {
            (void)vcsm::device::open_dma_heap(name);
            FAIL() << "opened";
        } catch (const vcsm::error& refused) {
            EXPECT_EQ(refused.code().value(), EACCES);
            EXPECT_THAT(refused.what(), HasSubstr("usermod -aG video"));
        }
    }
    in_.add_text("/dev/dma_heap/file", "text");
    EXPECT_THROW((void)vcsm::device::open_dma_heap("file"), vcsm::error);
    EXPECT_EQ(in_.open_descriptors(), 0U);
}

TEST_F(dma_heap, an_import_is_mapped_and_a_block_of_vcsm_cma_is_never_synchronised) {
    const auto device = vcsm::device::open_dma_heap("system");
    const auto theirs = fakes::make_dma_buf(in_, "vc_sm_cma", 4096);
    theirs->made_by_alloc = true;
    const auto cameras = fakes::make_dma_buf(in_, "videobuf2", 4096);
    for (const auto& [given, synchronised] : {std::pair{theirs, false}, std::pair{cameras, true}}) {
        const int descriptor = in_.install(given);
        {
            const auto block = device->import_dmabuf(descriptor, "x");
            block->begin_access(direction::read);
            block->end_access(direction::write);
            EXPECT_EQ(given->syncs.size(), synchronised ? 2U : 0U);
            EXPECT_NE(block->accesses_at_once(), synchronised);
        }
        in_.close(descriptor);
        EXPECT_EQ(in_.open_descriptors(), 1U);
        EXPECT_EQ(in_.mapped_bytes(), 0U);
    }
    EXPECT_TRUE(in_.crashes.empty());
}

} // namespace
