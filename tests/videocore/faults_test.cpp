#include "videocore/faults.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using vcsm::videocore::faults;
using vcsm::videocore::operation;

std::vector<int> tries(faults& listed, operation what, int count) {
    std::vector<int> results;
    for (int i = 0; i < count; ++i) {
        results.push_back(listed.next(what));
    }
    return results;
}

TEST(faults, none_are_listed_unless_asked_for) {
    faults none;
    faults empty{""};
    EXPECT_FALSE(none.any());
    EXPECT_FALSE(empty.any());
    EXPECT_EQ(empty.next(operation::alloc), 0);
}

TEST(faults, the_nth_try_fails_and_no_other) {
    faults listed{"alloc@3=ENOMEM"};
    EXPECT_THAT(tries(listed, operation::alloc, 5), testing::ElementsAre(0, 0, ENOMEM, 0, 0));
}

TEST(faults, each_operation_is_counted_on_its_own) {
    faults listed{"alloc@1=ENOMEM,sync@2=EINTR"};
    EXPECT_EQ(listed.next(operation::sync), 0);
    EXPECT_EQ(listed.next(operation::alloc), ENOMEM);
    EXPECT_EQ(listed.next(operation::sync), EINTR);
}

TEST(faults, a_range_of_tries_fails) {
    faults listed{"sync@2-4=EAGAIN"};
    EXPECT_THAT(tries(listed, operation::sync, 5), testing::ElementsAre(0, EAGAIN, EAGAIN, EAGAIN, 0));
}

TEST(faults, a_star_fails_the_first_try_of_every_call) {
    faults listed{"lock@*=EINTR"};
    EXPECT_EQ(listed.next(operation::lock, 1), EINTR);
    EXPECT_EQ(listed.next(operation::lock, 2), EINTR) << "another caller's call is another call";
    EXPECT_EQ(listed.next(operation::lock, 1), 0) << "repeated, it gets through";
    EXPECT_EQ(listed.next(operation::lock, 2), 0);
    EXPECT_EQ(listed.next(operation::lock, 1), EINTR) << "the next call is a new one";
}

// It once let every second call through.
TEST(faults, a_star_with_an_errno_that_nobody_repeats_fails_every_call) {
    faults listed{"alloc@*=ENOMEM,read@*=flip"};
    EXPECT_THAT(tries(listed, operation::alloc, 4), testing::ElementsAre(ENOMEM, ENOMEM, ENOMEM, ENOMEM));
    EXPECT_THAT(tries(listed, operation::read, 2), testing::ElementsAre(faults::flip, faults::flip));
    EXPECT_EQ(listed.given(), 6U);
}

TEST(faults, videocores_reading_can_be_flipped) {
    faults listed{"read@2=flip"};
    EXPECT_THAT(tries(listed, operation::read, 3), testing::ElementsAre(0, faults::flip, 0));
}

class malformed_faults : public testing::TestWithParam<const char*> {};

TEST_P(malformed_faults, are_refused_with_a_sentence_that_names_the_part_and_the_grammar) {
    try {
        const faults refused{GetParam()};
        FAIL() << GetParam() << " was accepted";
    } catch (const std::invalid_argument& why) {
        EXPECT_THAT(why.what(),
                    testing::AllOf(testing::HasSubstr("fault \""), testing::HasSubstr("OPERATION@N=ERRNO")));
    }
}
INSTANTIATE_TEST_SUITE_P(each, malformed_faults,
                         testing::Values("alloc", "alloc@3", "alloc=ENOMEM", "alloc@0=ENOMEM", "alloc@=ENOMEM",
                                         "alloc@x=ENOMEM", "alloc@3-2=ENOMEM", "alloc@3-=ENOMEM", "alloc@-3=ENOMEM",
                                         "alloc@3=", "alloc@3=ENOSUCH", "alloc@3=12", "other@3=ENOMEM",
                                         "alloc@1=ENOMEM,", ",alloc@1=ENOMEM", "alloc@1=flip", " alloc@1=ENOMEM",
                                         "alloc@99999999999999999999=ENOMEM", "alloc=3@ENOMEM", "@1=ENOMEM"));

} // namespace
