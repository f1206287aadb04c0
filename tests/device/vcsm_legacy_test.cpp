#include "device/vcsm_legacy.hpp"

#include "device/fake_drivers.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using vcsm::cache_mode;
using vcsm::device::direction;

class vcsm_legacy : public testing::Test {
  protected:
    void SetUp() override {
        device_ = vcsm::device::open_vcsm_legacy(32);
        in_.forget();
    }
    void expect_nothing_left(int after = 0) {
        EXPECT_TRUE(driver_.blocks.empty()) << after;
        EXPECT_EQ(in_.open_descriptors(), 1U) << after;
        EXPECT_EQ(in_.mapped_bytes(), 0U) << after;
        EXPECT_TRUE(in_.crashes.empty()) << after << in_.crashes.front();
    }

    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    fakes::legacy_driver driver_{in_};
    std::unique_ptr<vcsm::device::device> device_;
};

TEST_F(vcsm_legacy, a_block_is_allocated_mapped_at_its_handle_and_kept_locked) {
    auto block = device_->allocate({5000, "ls_grid", cache_mode::host, 1});
    const std::size_t bytes = fakes::in_pages(5000);
    EXPECT_THAT(in_.log,
                ElementsAre("ioctl /dev/vcsm 8030495a", "mmap /dev/vcsm " + std::to_string(bytes) + " shared at 4096",
                            "ioctl /dev/vcsm 8008495c", "ioctl /dev/vcsm 80104969", "ioctl /dev/vcsm 8010496a",
                            "ioctl /dev/vcsm 800c4962"));
    EXPECT_EQ(in_.requests.at(0).argument, fakes::word(bytes) +
                                               " 01000000 01000000 6c735f67 72696400 00000000 00000000 00000000 "
                                               "00000000 00000000 00000000 00000000");
    EXPECT_EQ(in_.requests.at(1).argument, "00100000 00000000");
    EXPECT_EQ(block->granted_cache(), cache_mode::host);
    EXPECT_EQ(block->videocore_handle(), 1U);
    EXPECT_EQ(block->bus_address(), 0xfd001000U);
    EXPECT_EQ(driver_.blocks.at(0x1000).locks, 1U);
    EXPECT_THROW((void)block->dmabuf(), vcsm::not_supported);
    block.reset();
    expect_nothing_left();
}

TEST_F(vcsm_legacy, memory_that_others_left_full_is_zero) {
    const auto block = device_->allocate({5000, "x", cache_mode::none, 1});
    EXPECT_TRUE(
        std::all_of(block->data(), block->data() + block->capacity(), [](std::byte b) { return b == std::byte{}; }));
}

TEST_F(vcsm_legacy, locks_invalidate_and_flush_what_the_cpu_caches_and_that_alone) {
    const auto cached = device_->allocate({4096, "x", cache_mode::both, 1});
    const auto& known = driver_.blocks.begin()->second;
    const unsigned flushed = known.flushes;
    cached->begin_access(direction::read_write);
    EXPECT_EQ(known.invalidations, 1U);
    cached->end_access(direction::read);
    EXPECT_EQ(known.flushes, flushed);
    cached->begin_access(direction::write);
    EXPECT_EQ(known.invalidations, 1U);
    cached->end_access(direction::write);
    EXPECT_EQ(known.flushes, flushed + 1);

    const auto uncached = device_->allocate({4096, "x", cache_mode::videocore, 1});
    in_.forget();
    uncached->begin_access(direction::read_write);
    uncached->end_access(direction::read_write);
    EXPECT_TRUE(in_.log.empty());
}

TEST_F(vcsm_legacy, maintenance_asks_for_its_ranges_and_no_more) {
    const auto cached = device_->allocate({4096, "x", cache_mode::both, 1});
    const auto& [handle, known] = *driver_.blocks.begin();
    const auto start = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(cached->data()));
    const unsigned flushed = known.flushes;
    const auto asked = [&](const vcsm::device::strided_range& which, bool clean, bool forget) {
        driver_.maintained.clear();
        cached->maintain(which, clean, forget);
        return driver_.maintained;
    };
    using calls = std::vector<std::vector<std::array<std::uint32_t, 4>>>;
    EXPECT_EQ(asked({64, 128, 1, 0}, false, true), (calls{{{1, handle, start + 64, 128}}}));
    EXPECT_EQ(asked({64, 128, 1, 0}, true, false), (calls{{{2, handle, start + 64, 128}}}));
    EXPECT_EQ(asked({64, 128, 1, 0}, true, true), (calls{{{3, handle, start + 64, 128}}}));
    EXPECT_EQ(asked({0, 64, 2, 512}, true, false), (calls{{{2, handle, start, 64}, {2, handle, start + 512, 64}}}));
    EXPECT_EQ(asked({0, 64, 65535, 0}, true, false), (calls{{{2, handle, start, 64}}})) << "again and again the same";
    EXPECT_EQ(asked({32, 64, 3, 64}, true, false), (calls{{{2, handle, start + 32, 192}}})) << "they touch";

    const calls nine = asked({0, 16, 9, 128}, true, false);
    ASSERT_EQ(nine.size(), 2U) << "a call has room for eight";
    EXPECT_EQ(nine[0].size(), 8U);
    EXPECT_EQ(nine[1], (calls::value_type{{2, handle, start + 1024, 16}}));
    EXPECT_EQ(known.flushes, flushed);
    EXPECT_EQ(known.invalidations, 0U);

    const auto uncached = device_->allocate({4096, "x", cache_mode::videocore, 1});
    driver_.maintained.clear();
    uncached->maintain({0, 64, 1, 0}, true, true);
    EXPECT_TRUE(driver_.maintained.empty());
}

TEST_F(vcsm_legacy, maintenance_that_the_driver_refuses_is_an_error_about_the_block) {
    const auto cached = device_->allocate({4096, "refused", cache_mode::host, 1});
    in_.calls_made = 0;
    in_.fail_at = 1;
    in_.fail_with = EINVAL;
    try {
        cached->maintain({0, 64, 1, 0}, true, false);
        FAIL();
    } catch (const vcsm::error& refused) {
        EXPECT_THAT(refused.what(), AllOf(HasSubstr("cannot clean or invalidate"), HasSubstr("refused")));
        EXPECT_EQ(refused.code().value(), EINVAL);
    }
}

TEST_F(vcsm_legacy, a_dma_buf_is_refused_with_the_devices_that_take_it) {
    try {
        (void)device_->import_dmabuf(3, "theirs");
        FAIL();
    } catch (const vcsm::not_supported& refused) {
        EXPECT_THAT(refused.what(), AllOf(HasSubstr("import a dma-buf"), HasSubstr("theirs"), HasSubstr("dma-heap")));
    }
    EXPECT_TRUE(device_->gives().videocore_handle);
    EXPECT_FALSE(device_->gives().dmabuf);
}

TEST_F(vcsm_legacy, the_addresses_are_taken_back_before_the_driver_unmaps_them) {
    auto block = device_->allocate({4096, "x", cache_mode::none, 1});
    in_.forget();
    block->release();
    EXPECT_THAT(in_.log, ElementsAre("mmap anonymous " + std::to_string(fakes::in_pages(4096)) + " private fixed at 0",
                                     "ioctl /dev/vcsm 8008495e", "ioctl /dev/vcsm 80044961"));
    block->data()[0] = std::byte{1}; // whoever still looks at it harms nobody
    block->end_access(direction::write);
    block.reset();
    expect_nothing_left();
}

TEST_F(vcsm_legacy, a_forks_child_frees_nothing) {
    auto block = device_->allocate({4096, "x", cache_mode::none, 1});
    in_.forget();
    block->abandon();
    block.reset();
    device_->abandon();
    EXPECT_THAT(in_.log, ElementsAre("close /dev/vcsm"));
    EXPECT_EQ(driver_.blocks.size(), 1U);
}

TEST_F(vcsm_legacy, whichever_call_fails_nothing_is_left) {
    for (int nth = 1;; ++nth) {
        in_.calls_made = 0;
        in_.fail_at = nth;
        in_.fail_with = nth % 2 == 0 ? ENOMEM : EINVAL;
        bool refused = false;
        try {
            (void)device_->allocate({8192, "x", cache_mode::host, 1});
        } catch (const vcsm::error&) {
            refused = true;
        }
        const bool failed_one = in_.calls_made >= nth;
        in_.fail_at = 0;
        // A handle that cannot be unlocked or freed stays: nothing more can be done about it.
        driver_.blocks.clear();
        EXPECT_EQ(in_.open_descriptors(), 1U) << nth;
        EXPECT_EQ(in_.mapped_bytes(), 0U) << nth;
        if (!failed_one) {
            EXPECT_FALSE(refused);
            EXPECT_GT(nth, 8);
            break;
        }
    }
}

TEST_F(vcsm_legacy, a_refusal_in_the_middle_frees_the_handle) {
    for (const char* const call :
         {"mmap", "madvise", "ioctl 8008495c", "ioctl 80104969", "ioctl 8010496a", "ioctl 800c4962"}) {
        in_.fail_next(call, {EFAULT});
        EXPECT_THROW((void)device_->allocate({8192, "x", cache_mode::host, 1}), vcsm::error) << call;
        expect_nothing_left();
    }
    driver_.free_bytes = 4096;
    EXPECT_THROW((void)device_->allocate({8192, "x", cache_mode::host, 1}), vcsm::out_of_memory);
}

TEST_F(vcsm_legacy, a_program_of_64_bits_is_told_why_it_cannot) {
    in_.forget();
    try {
        (void)vcsm::device::open_vcsm_legacy(64);
        FAIL() << "opened";
    } catch (const vcsm::not_supported& refused) {
        EXPECT_THAT(refused.what(), HasSubstr("32 bits"));
        EXPECT_THAT(refused.what(), HasSubstr("vcsm-cma"));
    }
    EXPECT_TRUE(in_.log.empty()) << "the driver was asked";
}

} // namespace
