// `vcsm list`, `vcsm read` and `vcsm doctor`, as a user types them; where a board is wanted, on one that vcsm-sim
// stands in for.
#include "vcsm_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using vcsm_tests::finished;
using vcsm_tests::run;
using vcsm_tests::temporary_directory;

finished vcsm_here(const std::vector<std::string>& arguments) {
    return vcsm_tests::vcsm(arguments);
}

TEST(doctor_command, tells_the_machine_and_that_the_simulation_will_do) {
    const finished told = vcsm_here({"doctor"});
    EXPECT_EQ(told.status, 0);
    for (const char* const line :
         {"board", "kernel", "page size", "contiguous memory", "/dev/vcsm-cma", "simulated would be used"}) {
        EXPECT_THAT(told.out, HasSubstr(line));
    }
    const json object = json::parse(vcsm_here({"doctor", "--json"}).out);
    EXPECT_TRUE(object.at("usable").get<bool>());
    EXPECT_EQ(object.at("device"), "simulated");
    EXPECT_GE(object.at("page_size").get<int>(), 4096);
}

TEST(doctor_command, fails_where_the_device_that_is_asked_for_cannot_be_used) {
    const finished told = run(vcsm_tests::vcsm_command({"doctor"}), {{{"VCSM_DEVICE", "dma-heap:not_there"}}, {}, {}});
    EXPECT_EQ(told.status, 1);
    EXPECT_THAT(told.out, HasSubstr("No device can be used."));
    EXPECT_THAT(told.out, HasSubstr("VCSM_DEVICE asks for dma-heap:not_there"));
    EXPECT_THAT(told.out, HasSubstr("Mend: "));
    const finished as_json =
        run(vcsm_tests::vcsm_command({"doctor", "--json"}), {{{"VCSM_DEVICE", "dma-heap:not_there"}}, {}, {}});
    EXPECT_EQ(as_json.status, 1);
    EXPECT_FALSE(json::parse(as_json.out).at("complaints").empty());
}

TEST(read_command, refuses_what_makes_no_sense) {
    EXPECT_EQ(vcsm_here({"read"}).status, 2);
    EXPECT_EQ(vcsm_here({"read", "--pid", "-1", "--block", "x"}).status, 2);
    EXPECT_EQ(vcsm_here({"read", "--pid", "x", "--block", "x"}).status, 2);
    const temporary_directory directory;
    const finished nobody = vcsm_here({"read", "--pid", "999999999", "--block", "3", directory / "out"});
    EXPECT_EQ(nobody.status, 1);
    EXPECT_THAT(nobody.err, HasSubstr("there is no process 999999999"));
    EXPECT_EQ(
        vcsm_here({"read", "--pid", std::to_string(::getpid()), "--block", "no such block", directory / "out"}).status,
        1);
    EXPECT_FALSE(std::filesystem::exists(directory / "out")) << "a failure left an empty file";
    const std::string before = directory.write("before", "what was there");
    EXPECT_EQ(vcsm_here({"read", "--pid", std::to_string(::getpid()), "--block", "0", before}).status, 1);
    EXPECT_EQ(vcsm_tests::content_of(before), "what was there");
}

TEST(list_command, prints_one_object_for_scripts) {
    const finished told = vcsm_here({"list", "--json"});
    EXPECT_EQ(told.status, 0);
    EXPECT_TRUE(json::parse(told.out).at("blocks").is_array());
    EXPECT_EQ(run(vcsm_tests::vcsm_command({"list"}), {{{"VCSM_DEVICE", "simulated"}}, {}, "/dev/full"}).status, 1);
}

#ifdef VCSM_SIM_COMMAND

/// A shell script on a simulated board; $V is the command, $D the directory.
finished on_board(const std::string& model, const temporary_directory& directory, const std::string& script) {
    return run({VCSM_SIM_COMMAND, "--model", model, "--quiet", "--error-exitcode", "70", "sh", "-c", script},
               {{{"V", VCSM_COMMAND}, {"D", directory / "."}, {"VCSM_DEVICE", ""}}, {}, {}});
}

TEST(doctor_command, is_content_with_each_board) {
    const temporary_directory directory;
    for (const auto& [model, device] : {std::pair{"pi4", "vcsm-cma"}, std::pair{"pi5", "dma-heap:vidbuf_cached"}}) {
        const finished told = on_board(model, directory, "$V doctor --json");
        EXPECT_EQ(told.status, 0) << told.out << told.err;
        const json object = json::parse(told.out);
        EXPECT_EQ(object.at("device"), device);
        EXPECT_TRUE(object.at("raspberry_pi").get<bool>());
        EXPECT_GT(object.at("largest_block").get<std::uint64_t>(), 0U);
        EXPECT_LE(object.at("largest_block").get<std::uint64_t>(), object.at("contiguous_free").get<std::uint64_t>());
        EXPECT_THAT(object.at("complaints"), IsEmpty()) << object.at("complaints");
    }
}

TEST(list_command, shows_the_blocks_of_two_processes_and_read_copies_one) {
    const temporary_directory directory;
    directory.write("one", std::string(5000, '1'));
    directory.write("two", std::string(70000, '2'));
    const std::string hold_both = "$V send $D/one --name first --cache host --hold >$D/1 & p=$!\n"
                                  "$V send $D/two --name second --hold >$D/2 & q=$!\n"
                                  "until grep -q holding $D/1 && grep -q holding $D/2; do sleep 0.05; done\n";
    const std::string end_both = "kill -TERM $p $q; wait $p; wait $q\n";
    const finished listed = on_board("pi4", directory, hold_both + "$V list --json; " + end_both);
    ASSERT_EQ(listed.status, 0) << listed.err;
    const json object = json::parse(listed.out);
    std::map<std::string, json> by_name;
    for (const json& each : object.at("blocks")) {
        by_name[each.at("name")] = each;
        EXPECT_EQ(each.at("command"), "vcsm");
    }
    ASSERT_EQ(by_name.count("first"), 1U) << listed.out;
    ASSERT_EQ(by_name.count("second"), 1U) << listed.out;
    EXPECT_EQ(by_name["first"].at("bytes"), 8192);
    EXPECT_EQ(by_name["second"].at("bytes"), 73728);
    EXPECT_EQ(by_name["second"].at("exporter"), "vc_sm_cma");
    EXPECT_EQ(by_name["first"].at("command"), "vcsm");
    EXPECT_NE(by_name["first"].at("process"), by_name["second"].at("process"));
    for (const json& known : object.at("videocore")) { // whichever of the two processes was first
        if (known.at("name") == "second") {
            EXPECT_EQ(by_name["second"].at("videocore_handle"), known.at("videocore_handle"));
        } else {
            EXPECT_TRUE(known.at("imported").get<bool>()) << known;
        }
    }
    EXPECT_EQ(object.at("videocore").size(), 2U);

    const finished read =
        on_board("pi4", directory,
                 hold_both + "head -c 100000 /dev/zero >$D/copy; $V read --pid $q --block second $D/copy; " +
                     "$V read --pid $p --block second $D/no; echo status $?; " + end_both);
    EXPECT_THAT(read.out, HasSubstr("status 1"));
    EXPECT_THAT(read.err, HasSubstr("it has first"));
    const std::string copy = vcsm_tests::content_of(directory / "copy");
    EXPECT_EQ(copy.substr(0, 70000), std::string(70000, '2'));
    EXPECT_EQ(copy.size(), 73728U) << "bytes of an earlier file are left behind the block's";
    EXPECT_FALSE(std::filesystem::exists(directory / "no"));
}

#endif

} // namespace
