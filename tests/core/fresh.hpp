// Every test of the core starts with a simulated VideoCore of its own, and must leave nothing in it.
#pragma once

#include <vcsm/vcsm.hpp>

#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace vcsm_tests {

/// Bytes 0, 1, 2, … of a period that is no power of two, so that a shifted copy differs.
inline std::vector<std::byte> pattern(std::size_t bytes, unsigned start = 0) {
    std::vector<std::byte> made(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        made[i] = static_cast<std::byte>((i + start) % 251);
    }
    return made;
}

/// What VideoCore has in its memory, whatever the CPU sees.
inline std::vector<std::byte> seen_by_videocore(const vcsm::shared_memory& block, std::size_t bytes,
                                                std::size_t offset = 0) {
    std::vector<std::byte> seen(bytes);
    vcsm::videocore::read(block.videocore_handle(), offset, seen);
    return seen;
}

class fresh_videocore : public testing::Test {
  protected:
    void SetUp() override { start(); }

    void TearDown() override {
        EXPECT_TRUE(vcsm::blocks().empty()) << "the test left blocks behind";
        for (const auto& left : vcsm::videocore::list()) {
            ADD_FAILURE() << "VideoCore still knows \"" << left.name << "\", locks: " << left.locks;
        }
        ::unsetenv("VCSM_SIM_FAULTS");
        ::unsetenv("VCSM_SIM_MEMORY");
        vcsm::videocore::reset();
    }

    /// Another VideoCore, with faults and memory as said.
    static void start(const std::string& faults = {}, const std::string& memory = {}) {
        ::setenv("VCSM_SIM_FAULTS", faults.c_str(), 1);
        ::setenv("VCSM_SIM_MEMORY", memory.c_str(), 1);
        vcsm::videocore::reset();
        vcsm::use("simulated");
    }
};

} // namespace vcsm_tests
