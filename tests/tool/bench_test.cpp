#include "vcsm_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using testing::HasSubstr;
using vcsm_tests::content_of;
using vcsm_tests::temporary_directory;
using vcsm_tests::vcsm;

TEST(vcsm_bench, refuses_what_it_cannot_draw_or_measure_before_it_measures) {
    const auto picture = vcsm({"bench", "--plot", "results.bmp"});
    EXPECT_EQ(picture.status, 2);
    EXPECT_THAT(picture.err, testing::AllOf(HasSubstr("results.bmp"), HasSubstr(".svg")));
    EXPECT_EQ(vcsm({"bench", "--device", "vchiq"}).status, 2);
}

// Which of the rows pass is the machine's affair; that there are rows, and what is in them, is the command's.
TEST(vcsm_bench, writes_a_list_of_rows) {
    const temporary_directory directory;
    const auto done = vcsm({"bench", "--check", "--quick", "--json", directory / "rows.json"});
    EXPECT_THAT(done.status, testing::AnyOf(0, 1)) << done.err;
    EXPECT_THAT(done.out, testing::AllOf(HasSubstr("On simulated"), HasSubstr("pool"), HasSubstr("ring")));
    const auto rows = nlohmann::json::parse(content_of(directory / "rows.json"));
    ASSERT_TRUE(rows.is_array());
    EXPECT_GE(rows.size(), 10U);
    bool all_pass = true;
    for (const auto& row : rows) {
        EXPECT_FALSE(row.at("work").get<std::string>().empty());
        EXPECT_GT(row.at("bytes").get<std::size_t>(), 0U);
        EXPECT_GE(row.at("threads").get<unsigned>(), 1U);
        EXPECT_GT(row.at("ours_ns").get<double>(), 0.0);
        EXPECT_GT(row.at("limit_ns").get<double>(), 0.0);
        EXPECT_GT(row.at("ratio").get<double>(), 0.0);
        EXPECT_GE(row.at("spread").get<double>(), 0.0);
        all_pass = all_pass && row.at("passes").get<bool>();
    }
    EXPECT_EQ(done.status == 0, all_pass) << "the exit status says whether one missed what is wanted";
}

} // namespace
