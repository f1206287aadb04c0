// What the service says on a device that lacks what the simulated one has.
#include "service.hpp"

#include "device/fake_drivers.hpp"
#include "errno_of.hpp"

#include <vcsm/vcsm.hpp>

#include <cerrno>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::HasSubstr;
using vcsm_tests::errno_of;

class service_on_a_mailbox : public testing::Test {
  protected:
    void SetUp() override { vcsm::use("mailbox"); }
    void TearDown() override {
        vcsm::stop_service();
        EXPECT_TRUE(driver_.blocks.empty());
        EXPECT_EQ(in_.open_descriptors(), 0U);
    }

    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    fakes::mailbox_driver driver_{in_};
    std::string said_;
};

TEST_F(service_on_a_mailbox, cannot_ask_videocore_and_says_where_it_could) {
    const vcsm::shared_memory block{5000, "not to be seen"};
    EXPECT_NE(block.videocore_handle(), 0U);
    EXPECT_EQ(errno_of([] { (void)vcsm::videocore::list(); }, &said_), ENOTSUP);
    EXPECT_THAT(said_, HasSubstr("vcsm-sim"));
    std::byte byte{};
    EXPECT_EQ(errno_of([&] { vcsm::videocore::read(block.videocore_handle(), 0, {&byte, 1}); }), ENOTSUP);
}

TEST_F(service_on_a_mailbox, does_not_start_for_a_program_that_wants_to_export_blocks) {
    vcsm::stop_service();
    vcsm::detail::service& service = vcsm::detail::service::instance();
    EXPECT_EQ(errno_of([&] { service.hold_bare(true, -1); }, &said_), ENOTSUP);
    EXPECT_THAT(said_, HasSubstr("export"));
    EXPECT_FALSE(vcsm::service_running());
    EXPECT_EQ(in_.open_descriptors(), 0U) << "what was opened to find out";
    service.hold_bare(false, -1);
    EXPECT_EQ(errno_of([&] { service.hold_bare(true, -1); }), ENOTSUP);
    EXPECT_TRUE(vcsm::service_running()) << "somebody held it before";
    EXPECT_TRUE(service.let_go_bare());
    EXPECT_FALSE(vcsm::service_running());
}

} // namespace
