#include "errno_of.hpp"
#include "fresh.hpp"

#include <cerrno>

namespace {

using vcsm::shared_memory;
using vcsm_tests::errno_of;

class videocores_side : public vcsm_tests::fresh_videocore {};

TEST_F(videocores_side, lists_what_the_program_made) {
    const shared_memory block{5000, "listed", vcsm::cache_mode::both};
    const auto view = block.lock(vcsm::access::read);
    const auto all = vcsm::videocore::list();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].videocore_handle, block.videocore_handle());
    EXPECT_EQ(all[0].name, "listed");
    EXPECT_EQ(all[0].bytes, 5000U);
    EXPECT_EQ(all[0].capacity, block.capacity());
    EXPECT_EQ(all[0].bus_address, block.bus_address());
    EXPECT_EQ(all[0].cache, vcsm::cache_mode::both);
    EXPECT_EQ(all[0].locks, 1U);
    EXPECT_EQ(all[0].held, 0U);
    EXPECT_TRUE(all[0].allocated);
}

TEST_F(videocores_side, refuses_handles_and_bytes_that_are_none) {
    const shared_memory block{10, "b"};
    std::vector<std::byte> bytes(1);
    EXPECT_EQ(errno_of([&] { vcsm::videocore::read(0, 0, bytes); }), ENOENT);
    EXPECT_EQ(errno_of([&] { vcsm::videocore::read(block.videocore_handle(), block.capacity(), bytes); }), EINVAL);
    EXPECT_EQ(errno_of([&] { vcsm::videocore::release(block.videocore_handle()); }), EINVAL);
}

TEST_F(videocores_side, is_another_one_after_a_reset) {
    shared_memory block{10, "b"};
    vcsm::videocore::hold(block.videocore_handle());
    vcsm::videocore::reset();
    EXPECT_FALSE(block);
    EXPECT_TRUE(vcsm::videocore::list().empty());
}

} // namespace
