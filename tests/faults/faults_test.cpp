// Every scenario with every fault. scripts/test-faults runs all of it and adds up the last lines.
#include "faults/scenarios.hpp"

#include <cstdio>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

namespace faults {

namespace {

outcome sum;

class every_fault : public testing::TestWithParam<scenario> {};

TEST_P(every_fault, leaves_nothing_behind) {
    const outcome found = run_with_every_fault(GetParam());
    sum += found;
    EXPECT_GT(found.injected, 0U) << "no fault came: the scenario makes no calls, or the harness is broken";
    EXPECT_EQ(found.leaked, 0U);
    EXPECT_EQ(found.stuck, 0U);
    EXPECT_EQ(found.crashed, 0U);
    EXPECT_EQ(found.broken, 0U);
    if (!found.report.empty()) {
        ADD_FAILURE() << found.report;
    }
    RecordProperty("faults", static_cast<int>(found.injected));
}

INSTANTIATE_TEST_SUITE_P(core, every_fault, testing::ValuesIn(core_scenarios()),
                         [](const auto& each) { return each.param.name; });

INSTANTIATE_TEST_SUITE_P(pool, every_fault, testing::ValuesIn(pool_scenarios()),
                         [](const auto& each) { return each.param.name; });
INSTANTIATE_TEST_SUITE_P(device, every_fault, testing::ValuesIn(device_scenarios()),
                         [](const auto& each) { return each.param.name; });
#ifdef VCSM_TEST_C
INSTANTIATE_TEST_SUITE_P(c, every_fault, testing::ValuesIn(c_scenarios()),
                         [](const auto& each) { return each.param.name; });
#endif

class totals : public testing::Environment {
  public:
    void TearDown() override {
        std::cout << "faults injected: " << sum.injected << ", leaked: " << sum.leaked << ", stuck locks: " << sum.stuck
                  << ", crashes: " << sum.crashed << ", broken promises: " << sum.broken << std::endl;
    }
};

[[maybe_unused]] const testing::Environment* const printed = testing::AddGlobalTestEnvironment(new totals);

} // namespace

// NOLINTNEXTLINE(readability-identifier-naming): GoogleTest's name for it
void PrintTo(const scenario& which, std::ostream* to) {
    *to << which.name;
}

} // namespace faults
