#include "device/udmabuf.hpp"

#include "device/fake_drivers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using vcsm::cache_mode;

class udmabuf : public testing::Test {
  protected:
    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    fakes::udmabuf_driver driver_{in_};
};

TEST_F(udmabuf, a_block_is_made_of_pages_that_cannot_be_cut_off) {
    const auto device = vcsm::device::open_udmabuf();
    EXPECT_EQ(in_.log.at(0), "open /dev/udmabuf rw cloexec");
    in_.forget();
    auto block = device->allocate({5000, "x", cache_mode::none, 1});
    const std::size_t bytes = fakes::in_pages(5000);
    EXPECT_THAT(in_.log, ElementsAre("memfd_create cloexec sealing", "ftruncate " + std::to_string(bytes), "seal 2",
                                     "ioctl /dev/udmabuf 40187542", fakes::set_name_call(), "close memfd"));
    EXPECT_EQ(in_.requests.at(0).argument.substr(9), "01000000 00000000 00000000 " + fakes::word(bytes) + " 00000000");
    EXPECT_EQ(block->granted_cache(), cache_mode::host);
    EXPECT_TRUE(in_.crashes.empty());
    block.reset();
    EXPECT_EQ(in_.open_descriptors(), 1U);
    EXPECT_EQ(in_.mapped_bytes(), 0U);
    EXPECT_EQ(driver_.blocks.count(), 0U);
}

TEST_F(udmabuf, a_block_beyond_the_drivers_limit_names_the_limit) {
    const auto device = vcsm::device::open_udmabuf();
    driver_.largest = 1 << 20;
    try {
        (void)device->allocate({2 << 20, "x", cache_mode::host, 1});
        FAIL() << "allocated";
    } catch (const vcsm::error& refused) {
        EXPECT_EQ(refused.code().value(), EINVAL);
        EXPECT_THAT(refused.what(), HasSubstr("size_limit_mb"));
    }
    EXPECT_EQ(in_.open_descriptors(), 1U);
}

TEST_F(udmabuf, whichever_call_fails_nothing_is_left) {
    const auto device = vcsm::device::open_udmabuf();
    for (int nth = 1;; ++nth) {
        in_.calls_made = 0;
        in_.fail_at = nth;
        in_.fail_with = ENOMEM;
        try {
            (void)device->allocate({8192, "x", cache_mode::host, 1})->map();
        } catch (const vcsm::out_of_memory&) {
        }
        EXPECT_EQ(in_.open_descriptors(), 1U) << nth;
        EXPECT_EQ(in_.mapped_bytes(), 0U) << nth;
        EXPECT_EQ(driver_.blocks.count(), 0U) << nth;
        if (in_.calls_made < nth) {
            EXPECT_GT(nth, 5);
            break;
        }
    }
}

TEST_F(udmabuf, a_node_that_cannot_be_used_says_why) {
    in_.refuse("/dev/udmabuf", EACCES);
    EXPECT_THROW((void)vcsm::device::open_udmabuf(), vcsm::error);
    fakes::kernel other;
    const vcsm::kernel::scoped_calls others_in_force{other};
    other.add_text("/dev/udmabuf", "a file");
    EXPECT_THROW((void)vcsm::device::open_udmabuf(), vcsm::error);
    EXPECT_EQ(other.open_descriptors(), 0U);
}

} // namespace
