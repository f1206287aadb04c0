#include "device/mailbox.hpp"

#include "device/fake_drivers.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using vcsm::cache_mode;
using vcsm::device::direction;

class mailbox : public testing::Test {
  protected:
    void open() {
        device_ = vcsm::device::open_mailbox();
        in_.forget();
    }
    void expect_nothing_left() {
        EXPECT_TRUE(driver_.blocks.empty());
        EXPECT_EQ(in_.open_descriptors(), 2U);
        EXPECT_EQ(in_.mapped_bytes(), 0U);
        EXPECT_TRUE(in_.crashes.empty());
    }

    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    fakes::mailbox_driver driver_{in_};
    std::unique_ptr<vcsm::device::device> device_;
};

TEST_F(mailbox, both_nodes_are_opened_and_the_firmware_asked_who_it_is) {
    const auto device = vcsm::device::open_mailbox();
    EXPECT_EQ(in_.log.at(0), "open /dev/vcio rw cloexec");
    EXPECT_EQ(in_.log.at(1), "open /dev/mem rw cloexec sync");
    EXPECT_EQ(in_.requests.at(0).argument, "1c000000 00000000 02000100 04000000 00000000 00000000 00000000");
}

TEST_F(mailbox, a_block_is_allocated_locked_and_mapped_where_the_cpu_sees_it) {
    open();
    auto block = device_->allocate({5000, "x", cache_mode::host, 1});
    const std::string ioctl = sizeof(void*) == 8 ? "ioctl /dev/vcio c0086400" : "ioctl /dev/vcio c0046400";
    const std::size_t bytes = fakes::in_pages(5000);
    EXPECT_THAT(in_.log,
                ElementsAre(ioctl, ioctl,
                            "mmap /dev/mem " + std::to_string(bytes) + " shared at " + std::to_string(0x1e000000)));
    EXPECT_EQ(in_.requests.at(0).argument, "24000000 00000000 0c000300 0c000000 00000000 " + fakes::word(bytes) + " " +
                                               fakes::word(fakes::in_pages(1)) + " 04000000 00000000");
    EXPECT_EQ(in_.requests.at(1).argument, "1c000000 00000000 0d000300 04000000 00000000 01000000 00000000");
    EXPECT_EQ(block->videocore_handle(), 1U);
    EXPECT_EQ(block->bus_address(), 0xde000000U);
    EXPECT_EQ(block->granted_cache(), cache_mode::none) << "nothing could make the CPU's cache agree";
    EXPECT_TRUE(std::all_of(block->data(), block->data() + bytes, [](std::byte b) { return b == std::byte{}; }));
    in_.forget();
    block->begin_access(direction::read_write);
    block->end_access(direction::read_write);
    EXPECT_TRUE(in_.log.empty());
    block.reset();
    EXPECT_THAT(in_.log, ElementsAre("mmap anonymous " + std::to_string(bytes) + " private fixed at 0", ioctl, ioctl,
                                     "munmap " + std::to_string(bytes)));
    EXPECT_EQ(in_.requests.at(0).argument, "1c000000 00000000 0e000300 04000000 00000000 01000000 00000000");
    EXPECT_EQ(in_.requests.at(1).argument, "1c000000 00000000 0f000300 04000000 00000000 01000000 00000000");
    expect_nothing_left();
}

TEST_F(mailbox, an_alignment_is_the_firmwares_to_keep) {
    open();
    driver_.next_bus_address = 0xde001000;
    const auto block = device_->allocate({4096, "x", cache_mode::none, 65536});
    EXPECT_EQ(block->bus_address() % 65536, 0U);
}

TEST_F(mailbox, an_answer_that_is_an_error_or_short_is_no_memory) {
    for (const auto& [code, short_answer] :
         {std::pair{0x80000001U, false}, std::pair{0U, false}, std::pair{0x80000000U, true}}) {
        driver_.answer_code = 0x80000000;
        driver_.answers_short = false;
        open();
        driver_.answer_code = code;
        driver_.answers_short = short_answer;
        try {
            (void)device_->allocate({4096, "x", cache_mode::none, 1});
            FAIL() << "allocated";
        } catch (const vcsm::error& refused) {
            EXPECT_EQ(refused.code().value(), EIO);
        }
        EXPECT_EQ(in_.mapped_bytes(), 0U);
        EXPECT_THROW((void)vcsm::device::open_mailbox(), vcsm::error);
        device_.reset();
        EXPECT_EQ(in_.open_descriptors(), 0U);
        driver_.blocks.clear();
    }
}

TEST_F(mailbox, no_memory_left_is_out_of_memory) {
    open();
    driver_.free_bytes = 4096;
    try {
        (void)device_->allocate({8192, "x", cache_mode::none, 1});
        FAIL() << "allocated";
    } catch (const vcsm::out_of_memory& refused) {
        EXPECT_THAT(refused.what(), HasSubstr("gpu_mem="));
    }
    expect_nothing_left();
}

TEST_F(mailbox, what_cannot_be_mapped_is_released) {
    open();
    for (const char* const call : {"mmap", "madvise"}) {
        in_.fail_next(call, {EPERM});
        try {
            (void)device_->allocate({8192, "x", cache_mode::none, 1});
            FAIL() << "allocated";
        } catch (const vcsm::error& refused) {
            EXPECT_EQ(refused.code().value(), EPERM);
            EXPECT_THAT(refused.what(), HasSubstr("/dev/mem"));
        }
        expect_nothing_left();
    }
}

TEST_F(mailbox, a_forks_child_releases_nothing_of_its_parents) {
    open();
    auto block = device_->allocate({4096, "x", cache_mode::none, 1});
    in_.forget();
    block->abandon();
    block.reset();
    device_->abandon();
    EXPECT_THAT(in_.log, ElementsAre("close /dev/vcio", "close /dev/mem"));
    EXPECT_EQ(driver_.blocks.size(), 1U);
}

TEST_F(mailbox, memory_that_outlives_the_service_is_still_released) {
    open();
    auto block = device_->allocate({4096, "x", cache_mode::none, 1});
    device_->close();
    EXPECT_THROW((void)device_->allocate({4096, "y", cache_mode::none, 1}), vcsm::error);
    block->release();
    EXPECT_TRUE(driver_.blocks.empty());
    EXPECT_EQ(in_.open_descriptors(), 0U);
}

TEST_F(mailbox, only_root_is_given_memory) {
    in_.refuse("/dev/vcio", EACCES);
    try {
        (void)vcsm::device::open_mailbox();
        FAIL() << "opened";
    } catch (const vcsm::error& refused) {
        EXPECT_EQ(refused.code().value(), EACCES);
        EXPECT_THAT(refused.what(), HasSubstr("vcsm-cma"));
    }
}

} // namespace
