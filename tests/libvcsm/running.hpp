// The service, started and stopped around each test.
#pragma once

#include <interface/vcsm/user-vcsm.h>

#include <vcsm/vcsm.hpp>

#include <cerrno>

#include <gtest/gtest.h>

namespace libvcsm_tests {

class running : public testing::Test {
  protected:
    void SetUp() override { ASSERT_EQ(vcsm_init(), 0); }
    void TearDown() override {
        vcsm_exit();
        EXPECT_FALSE(vcsm::service_running());
        EXPECT_TRUE(vcsm::blocks().empty());
    }

    static std::byte seen_by_videocore(unsigned handle, std::size_t offset) {
        std::byte seen{0xee};
        vcsm::videocore::read(vcsm_vc_hdl_from_hdl(handle), offset, {&seen, 1});
        return seen;
    }
};

} // namespace libvcsm_tests
