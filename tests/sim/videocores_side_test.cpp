// Run by vcsm-sim: what VideoCore does with a program's blocks on devices of the kernel, asked through vcsm-sim.
#include "errno_of.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

using vcsm::shared_memory;
using vcsm_tests::errno_of;

// The block of that handle, if VideoCore knows it. The mailbox has no names to go by.
std::vector<vcsm::videocore::block_state> listed(std::uint32_t handle) {
    auto all = vcsm::videocore::list();
    all.erase(std::remove_if(all.begin(), all.end(), [&](const auto& each) { return each.videocore_handle != handle; }),
              all.end());
    return all;
}

TEST(videocores_side_under_vcsm_sim, reads_and_writes_what_the_program_has) {
    shared_memory block{5000, "shared"};
    ASSERT_NE(block.device(), "simulated");
    block.copy_from(std::array<char, 3>{'a', 'b', 'c'}, 4096);
    std::array<std::byte, 3> seen{};
    vcsm::videocore::read(block.videocore_handle(), 4096, seen);
    EXPECT_EQ(seen[2], std::byte{'c'});
    vcsm::videocore::write(block.videocore_handle(), 4097, std::array<std::byte, 1>{std::byte{'z'}});
    std::array<char, 3> back{};
    block.copy_to(back, 4096);
    EXPECT_EQ(back, (std::array<char, 3>{'a', 'z', 'c'}));
}

TEST(videocores_side_under_vcsm_sim, keeps_a_block_that_videocore_holds) {
    shared_memory block{5000, "held \"by\" VideoCore"};
    const std::uint32_t handle = block.videocore_handle();
    vcsm::videocore::hold(handle);
    const auto while_there = listed(handle);
    ASSERT_EQ(while_there.size(), 1U);
    EXPECT_EQ(while_there[0].name, block.device() == "mailbox" ? "mailbox" : block.name());
    EXPECT_EQ(while_there[0].capacity, block.capacity());
    EXPECT_EQ(while_there[0].bus_address, block.bus_address());
    EXPECT_EQ(while_there[0].held, 1U);
    EXPECT_TRUE(while_there[0].allocated);
    block.close();
    const auto held = listed(handle);
    ASSERT_EQ(held.size(), 1U);
    EXPECT_FALSE(held[0].allocated);
    vcsm::videocore::release(handle);
    EXPECT_TRUE(listed(handle).empty());
}

TEST(videocores_side_under_vcsm_sim, refuses_what_is_no_block) {
    const shared_memory block{10, "b"};
    std::array<std::byte, 1> byte{};
    EXPECT_EQ(errno_of([&] { vcsm::videocore::read(12345678, 0, byte); }), ENOENT);
    EXPECT_EQ(errno_of([&] { vcsm::videocore::read(block.videocore_handle(), block.capacity(), byte); }), EINVAL);
    EXPECT_EQ(errno_of([&] { vcsm::videocore::release(block.videocore_handle()); }), EINVAL);
}

} // namespace
