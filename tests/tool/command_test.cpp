#include "vcsm_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using vcsm_tests::vcsm;

TEST(the_command, explains_itself) {
    const auto all = vcsm({"--help"});
    EXPECT_EQ(all.status, 0);
    EXPECT_THAT(all.out, testing::AllOf(HasSubstr("send"), HasSubstr("devices"), HasSubstr("Exit status")));
    for (const char* const part : {"send", "devices"}) {
        const auto help = vcsm({part, "--help"});
        EXPECT_EQ(help.status, 0);
        EXPECT_THAT(help.out, testing::AllOf(HasSubstr("--json"), HasSubstr("Examples:")));
        EXPECT_THAT(help.err, IsEmpty());
    }
    EXPECT_THAT(vcsm({"--version"}).out, testing::MatchesRegex("vcsm [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(the_command, takes_wrong_usage_with_one_sentence_and_status_2) {
    const std::vector<std::vector<std::string>> wrong{{},
                                                      {"sned"},
                                                      {"send"},
                                                      {"send", "a", "b"},
                                                      {"send", "--cahce", "none", "a"},
                                                      {"devices", "now"},
                                                      {"send", VCSM_SOURCE "/LICENSE", "--device", "vchiq"},
                                                      {"send", VCSM_SOURCE "/LICENSE", "--cache", "all"}};
    for (const auto& words : wrong) {
        const auto refused = vcsm(words);
        EXPECT_EQ(refused.status, 2) << testing::PrintToString(words);
        EXPECT_THAT(refused.out, IsEmpty());
        EXPECT_THAT(refused.err, testing::StartsWith("vcsm: "));
        EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
    }
}

TEST(the_command, says_what_a_file_may_be_to_whoever_names_none) {
    EXPECT_THAT(vcsm({"send"}).err,
                testing::AllOf(HasSubstr("FILE"), HasSubstr("- for standard input"), HasSubstr("vcsm send photo.jpg")));
}

// The shell closes the streams; what the command opens must not come to lie under their numbers.
TEST(the_command, started_without_standard_streams_does_what_it_can_and_says_what_not) {
    const auto started = [](const std::string& closed, const std::string& arguments) {
        return vcsm_tests::run({"sh", "-c", "exec " VCSM_COMMAND " " + arguments + " " + closed},
                               {{{"VCSM_DEVICE", "simulated"}, {"VCSM_LOG", "debug"}}, {}, {}});
    };
    for (const char* const arguments : {"send --json " VCSM_SOURCE "/LICENSE", "devices --json", "doctor --json"}) {
        const auto whole = started("", arguments);
        ASSERT_EQ(whole.status, 0) << whole.err;
        for (const char* const closed : {"<&-", "2>&-", "<&- 2>&-"}) {
            const auto done = started(closed, arguments);
            EXPECT_EQ(done.status, 0) << arguments << closed << done.err;
            EXPECT_TRUE(nlohmann::json::accept(done.out)) << arguments << closed << done.out;
        }
        for (const char* const closed : {">&-", "<&- >&-", "<&- >&- 2>&-"}) {
            const auto mute = started(closed, arguments);
            EXPECT_EQ(mute.status, 1) << arguments << closed;
            EXPECT_THAT(mute.out, IsEmpty());
        }
        EXPECT_THAT(started(">&-", arguments).err, HasSubstr("cannot write to standard output"));
    }
    EXPECT_THAT(started("<&-", "send -").err, HasSubstr("standard input"));
}

TEST(the_command, names_the_commands_to_whoever_types_none_or_another) {
    const auto known = testing::AllOf(HasSubstr("send"), HasSubstr("devices"));
    EXPECT_THAT(vcsm({}).err, known);
    EXPECT_THAT(vcsm({"sned"}).err, testing::AllOf(HasSubstr("sned"), known));
    EXPECT_THAT(vcsm({"--sned"}).err, HasSubstr("option \"--sned\""));
}

TEST(the_command, calls_an_unknown_device_in_the_environment_a_failure) {
    const auto refused = vcsm({"send", VCSM_SOURCE "/LICENSE"}, {{{"VCSM_DEVICE", "vchiq"}}, {}, {}});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, testing::AllOf(HasSubstr("VCSM_DEVICE"), HasSubstr("vchiq"), HasSubstr("simulated")));
}

TEST(the_command, lists_the_devices_for_people_and_for_machines) {
    const auto table = vcsm({"devices"});
    EXPECT_EQ(table.status, 0);
    EXPECT_THAT(table.out, HasSubstr("* "));
    const auto listed = vcsm({"devices", "--json"});
    const auto json = nlohmann::json::parse(listed.out);
    ASSERT_TRUE(json.is_array());
    int chosen = 0;
    for (const auto& device : json) {
        EXPECT_THAT(table.out, HasSubstr(device.at("name").get<std::string>()));
        for (const char* const flag : {"usable", "chosen", "videocore_handle", "bus_address", "dmabuf", "host_cache"}) {
            EXPECT_TRUE(device.at(flag).is_boolean()) << flag;
        }
        EXPECT_TRUE(device.at("node").is_string() && device.at("why").is_string());
        EXPECT_EQ(device.at("usable").get<bool>() || !device.at("why").get<std::string>().empty(), true)
            << device.at("name") << " is not usable and does not say why";
        if (device.at("chosen").get<bool>()) {
            ++chosen;
            EXPECT_EQ(device.at("name"), "simulated");
        }
    }
    EXPECT_EQ(chosen, 1);
}

TEST(the_command, says_once_that_it_simulates_unless_asked_to) {
    const auto unasked = vcsm({"send", VCSM_SOURCE "/LICENSE"}, {{{"VCSM_DEVICE", ""}}, {}, {}});
    EXPECT_EQ(unasked.status, 0);
    EXPECT_EQ(std::count(unasked.err.begin(), unasked.err.end(), '\n'), 1) << unasked.err;
    EXPECT_THAT(unasked.err, HasSubstr("simulated"));
    EXPECT_THAT(vcsm({"send", VCSM_SOURCE "/LICENSE"}).err, IsEmpty());
    EXPECT_THAT(vcsm({"send", VCSM_SOURCE "/LICENSE", "--device", "simulated"}, {{{"VCSM_DEVICE", ""}}, {}, {}}).err,
                IsEmpty());
}

TEST(the_command, fails_when_its_output_cannot_be_written) {
    for (const std::vector<std::string>& words : {std::vector<std::string>{"devices"},
                                                  {"send", VCSM_SOURCE "/LICENSE"},
                                                  {"send", VCSM_SOURCE "/LICENSE", "--json"}}) {
        const auto full = vcsm(words, {{}, {}, "/dev/full"});
        EXPECT_EQ(full.status, 1);
        EXPECT_THAT(full.err, HasSubstr("No space left on device"));
    }
}

} // namespace
