// /dev/vcsm, the driver of kernels up to 5.4, asked by a 32-bit program.
#include "sim/run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using vcsm::test::how;
using vcsm::test::outcome;
using vcsm::test::program;
using vcsm::test::simulate;

outcome run(const std::vector<std::string>& more = {}) {
    how manner;
    manner.options = {"--model", "legacy"};
    std::vector<std::string> command{program("legacy-32")};
    command.insert(command.end(), more.begin(), more.end());
    return simulate(command, manner);
}

TEST(legacy, answers_as_its_driver_did) {
    const outcome made = run();
    EXPECT_EQ(made.out, R"(alloc: 0
handle>0 1 page-aligned 1
lock unmapped: 0
unlock: 0
map wrong size: EINVAL
map unknown: ENOMEM
map: 0
lock: 0
address is the mapping's 1
unlock: 0
size: 0
8192
check: 0
address 1 size 8192 cache 0
videocore handle: 0
1
bus address: 0
0xc0000000
handle of address: 0
1
resize mapped: EFAULT
resize: 0
old size 8192
kept written
lock of none: EINVAL
unlock of none: EINVAL
free of none: EINVAL
size of none: 0
0
resize of none: EFAULT
check of none: EINVAL
bad pointer: EFAULT
walk: 0
unknown: EINVAL
lock by another: EPERM
lock on another open: EINVAL
share: 0
size 16384
shared written
free: 0
alloc cached: 0
free: 0
)");
    EXPECT_EQ(made.status, 0);
    EXPECT_EQ(made.err, "");
    EXPECT_EQ(made.report["leaks"].size(), 0U) << made.report;
}

TEST(legacy, what_was_never_freed_is_a_leak) {
    const outcome made = run({"leak"});
    ASSERT_EQ(made.report["leaks"].size(), 1U) << made.report;
    EXPECT_EQ(made.report["leaks"][0]["name"], "legacy");
    EXPECT_EQ(made.report["leaks"][0]["bytes"], 16384);
}

TEST(legacy, other_boards_have_no_such_device) {
    const outcome made = simulate({program("legacy-32")});
    EXPECT_EQ(made.out, "open: ENOENT\n");
    EXPECT_EQ(made.status, 3);
}

} // namespace
