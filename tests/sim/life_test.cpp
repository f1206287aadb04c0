// How programs live and end under vcsm-sim, and what it tells about that.
#include "sim/run.hpp"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace {

using testing::HasSubstr;
using testing::StartsWith;
using vcsm::test::how;
using vcsm::test::outcome;
using vcsm::test::program;
using vcsm::test::simulate;

outcome live(const std::vector<std::string>& way, const how& manner = {}) {
    std::vector<std::string> command{program("life")};
    command.insert(command.end(), way.begin(), way.end());
    outcome made = simulate(command, manner);
    EXPECT_FALSE(made.timed_out);
    return made;
}

void expect_nothing_found(const outcome& made) {
    EXPECT_EQ(made.err, "");
    for (const char* const list : {"leaks", "killed", "kernel_crashes", "unsynced", "errors", "closed_by_exec"}) {
        EXPECT_EQ(made.report[list].size(), 0U) << list << made.report;
    }
}

TEST(life, a_clean_program_has_an_empty_report) {
    const outcome made = live({"clean"});
    EXPECT_EQ(made.status, 0);
    expect_nothing_found(made);
    EXPECT_EQ(made.report["peak_bytes"], 4096);
    EXPECT_EQ(made.report["calls"]["VC_SM_CMA_IOCTL_MEM_ALLOC"], 1);
    EXPECT_EQ(made.report["calls"]["DMA_BUF_IOCTL_SYNC"], 2);
}

TEST(life, a_leak_is_named) {
    const outcome made = live({"leak", "2"});
    EXPECT_EQ(made.status, 0);
    ASSERT_EQ(made.report["leaks"].size(), 2U);
    const auto& leak = made.report["leaks"][0];
    EXPECT_EQ(leak["process"], "life");
    EXPECT_GT(leak["pid"], 1);
    EXPECT_EQ(leak["name"], "forgotten");
    EXPECT_EQ(leak["bytes"], 5000);
    EXPECT_EQ(leak["videocore_handle"], 1);
    EXPECT_EQ(leak["call"], "VC_SM_CMA_IOCTL_MEM_ALLOC");
    EXPECT_THAT(made.err, HasSubstr("blocks that were never closed: 2"));
}

TEST(life, a_mapping_that_is_left_is_a_leak_too) {
    EXPECT_EQ(live({"leak-mapping"}).report["leaks"].size(), 1U);
}

TEST(life, ending_by_a_raw_exit_is_ending) {
    const outcome made = live({"leak-raw-exit"});
    EXPECT_EQ(made.status, 4);
    EXPECT_EQ(made.report["leaks"].size(), 1U);
}

TEST(life, leaks_make_the_exit_code_that_was_asked_for) {
    how manner;
    manner.options = {"--error-exitcode", "42"};
    EXPECT_EQ(live({"leak"}, manner).status, 42);
    EXPECT_EQ(live({"clean"}, manner).status, 0);
}

TEST(life, what_a_fork_inherited_is_no_leak) {
    for (const char* const way : {"fork", "fork-outlives", "vfork"}) {
        const outcome made = live({way});
        EXPECT_EQ(made.status, 0) << way;
        expect_nothing_found(made);
    }
}

TEST(life, blocks_of_the_killed_are_listed_apart) {
    for (const int number : {SIGKILL, SIGSEGV, SIGTERM}) {
        const outcome made = live({"killed", std::to_string(number)});
        EXPECT_EQ(made.status, 128 + number);
        EXPECT_EQ(made.report["leaks"].size(), 0U);
        ASSERT_EQ(made.report["killed"].size(), 1U) << made.report;
        EXPECT_EQ(made.report["killed"][0]["name"], "of the dead");
    }
}

TEST(life, blocks_that_exec_closed_are_listed_apart) {
    const outcome made = live({"exec"});
    EXPECT_EQ(made.status, 0);
    EXPECT_EQ(made.report["leaks"].size(), 0U);
    ASSERT_EQ(made.report["closed_by_exec"].size(), 1U) << made.report;
    EXPECT_EQ(made.report["closed_by_exec"][0]["name"], "closed by exec");
    EXPECT_EQ(live({"failed-exec"}).report["closed_by_exec"].size(), 0U);
}

TEST(life, a_daemon_is_served_and_waited_for) {
    const outcome made = live({"daemon"});
    EXPECT_EQ(made.status, 3) << "the exit code is the program's, not its grandchild's";
    EXPECT_EQ(made.out, "daemon done\n");
    ASSERT_EQ(made.report["leaks"].size(), 1U);
    EXPECT_EQ(made.report["leaks"][0]["name"], "of a daemon");
}

TEST(life, a_block_that_was_sent_lives_with_its_receiver) {
    const outcome closed = live({"send", "0"});
    EXPECT_EQ(closed.out, "received hello\n");
    expect_nothing_found(closed);
    const outcome left = live({"send", "1"});
    EXPECT_EQ(left.out, "received hello\n");
    EXPECT_EQ(left.report["leaks"].size(), 1U) << left.report;
}

TEST(life, threads) {
    const outcome made = live({"threads", "20"});
    EXPECT_EQ(made.status, 0);
    expect_nothing_found(made);
    EXPECT_EQ(made.report["calls"]["VC_SM_CMA_IOCTL_MEM_ALLOC"], 16 * 20);
}

TEST(life, forks_by_the_hundred) {
    const outcome made = live({"storm", "100"});
    EXPECT_EQ(made.out, "bad 0\n");
    expect_nothing_found(made);
}

TEST(life, signals_at_any_rate) {
    const outcome made = live({"signals", "200"});
    EXPECT_EQ(made.status, 0);
    EXPECT_EQ(made.out, "signals 1\n");
    expect_nothing_found(made);
    EXPECT_EQ(made.report["calls"]["DMA_BUF_IOCTL_SYNC"], 400);
}

TEST(life, ten_thousand_blocks_at_once) {
    how manner;
    manner.patience = std::chrono::seconds{100};
    const outcome made = live({"many", "10000"}, manner);
    EXPECT_EQ(made.status, 0) << made.err << made.out;
    expect_nothing_found(made);
    EXPECT_EQ(made.report["peak_bytes"], 10000 * 4096);
}

TEST(life, memory_comes_back_before_it_is_asked_for_again) {
    how manner;
    manner.options = {"--memory", "64M"};
    const outcome made = live({"memory-comes-back", "50"}, manner);
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(made.report["peak_bytes"], 64 << 20);
}

TEST(life, strict_tells_of_writes_that_were_never_synced) {
    how manner;
    manner.options = {"--strict"};
    const outcome forgotten = live({"unsynced", "1"}, manner);
    EXPECT_EQ(forgotten.report["unsynced"].size(), 1U) << forgotten.report;
    EXPECT_THAT(forgotten.err, HasSubstr("never reached VideoCore"));
    expect_nothing_found(live({"unsynced", "0"}, manner));
    expect_nothing_found(live({"unsynced", "1"}));
}

TEST(life, started_without_standard_streams) {
    const auto ends_with = [](const std::string& rest) {
        const std::string script = "exec " VCSM_SIM_BINARY " --quiet -- " + rest;
        return ::system(script.c_str()); // NOLINT(cert-env33-c,concurrency-mt-unsafe): a shell closes them
    };
    for (const std::string closed : {"<&-", ">&-", "2>&-", "<&- >&- 2>&-"}) {
        EXPECT_EQ(ends_with("true " + closed), 0) << closed;
        EXPECT_EQ(WEXITSTATUS(ends_with("false " + closed)), 1) << closed;
    }
    EXPECT_EQ(ends_with("sh -c '! echo heard 2>/dev/null' >&-"), 0) << "the program finds its stream open";
}

TEST(life, the_exit_code_is_the_programs) {
    EXPECT_EQ(simulate({"sh", "-c", "exit 7"}).status, 7);
    EXPECT_EQ(simulate({"sh", "-c", "kill -TERM $$"}).status, 128 + SIGTERM);
}

TEST(life, a_signal_to_vcsm_sim_reaches_the_program) {
    how manner;
    manner.meanwhile = [](pid_t process) {
        std::this_thread::sleep_for(std::chrono::milliseconds{500});
        ::kill(process, SIGTERM);
    };
    EXPECT_EQ(simulate({"sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"}, manner).status, 5);
}

pid_t child_of(pid_t process) {
    std::ifstream children{"/proc/" + std::to_string(process) + "/task/" + std::to_string(process) + "/children"};
    pid_t child = 0;
    children >> child;
    return child;
}

/// Processes that run this program now.
int running(const std::string& path) {
    int count = 0;
    for (const auto& each : std::filesystem::directory_iterator{"/proc"}) {
        std::error_code ignored;
        count += std::filesystem::read_symlink(each.path() / "exe", ignored) == path ? 1 : 0;
    }
    return count;
}

class dying_supervisor : public testing::TestWithParam<bool> {};

TEST_P(dying_supervisor, takes_its_programs_with_it) {
    // A copy of its own, so that other tests' programs are not counted.
    const std::string copy = vcsm::test::fresh_path("life");
    std::filesystem::copy_file(program("life"), copy);
    for (const std::vector<std::string>& way :
         {std::vector<std::string>{"sleep", "100"}, {"spin", "2"}, {"threads", "1000000"}}) {
        how manner;
        manner.meanwhile = [](pid_t keeper) {
            std::this_thread::sleep_for(std::chrono::milliseconds{400});
            const pid_t supervisor = child_of(keeper);
            ASSERT_GT(supervisor, 1);
            ::kill(GetParam() ? supervisor : keeper, SIGKILL);
        };
        const outcome made = simulate({copy, way[0], way[1]}, manner);
        EXPECT_FALSE(made.timed_out);
        EXPECT_EQ(made.status, GetParam() ? 125 : 1000 + SIGKILL);
        EXPECT_THAT(made.err, HasSubstr("ended its programs"));
        EXPECT_EQ(running(copy), 0) << way[0];
    }
    std::filesystem::remove(copy);
}

INSTANTIATE_TEST_SUITE_P(who, dying_supervisor, testing::Bool(),
                         [](const auto& each) { return each.param ? "supervisor" : "keeper"; });

TEST(command, what_cannot_be_found_is_127_and_what_cannot_be_run_is_126) {
    const outcome missing = simulate({"/does/not/exist"});
    EXPECT_EQ(missing.status, 127);
    EXPECT_THAT(missing.err, HasSubstr("cannot run \"/does/not/exist\": No such file or directory"));
    const outcome refused = simulate({"/etc/passwd"});
    EXPECT_EQ(refused.status, 126);
    EXPECT_THAT(refused.err, HasSubstr("cannot run \"/etc/passwd\": Permission denied"));
}

TEST(command, mistakes_are_said_before_the_program_starts) {
    const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes{
        {{"--model", "pi9"}, "there is no model \"pi9\"; it is one of pi4, pi1, pi3, pi5, legacy"},
        {{"--fail", "alloc"}, "fault \"alloc\""},
        {{"--memory", "lots"}, "--memory is \"lots\", which is no size"},
        {{"--nonsense"}, "there is no option --nonsense"},
        {{"--error-exitcode", "0"}, "--error-exitcode"},
        {{"--control", "/does/not/exist/socket"}, "cannot make the control socket"},
    };
    for (const auto& [options, sentence] : mistakes) {
        how manner;
        manner.options = options;
        const outcome made = simulate({"echo", "started"}, manner);
        EXPECT_EQ(made.status, 125) << sentence;
        EXPECT_EQ(made.out, "") << sentence;
        EXPECT_THAT(made.err, StartsWith("vcsm-sim: "));
        EXPECT_THAT(made.err, HasSubstr(sentence));
    }
}

TEST(command, inside_itself_it_says_why_not) {
    const outcome made = simulate({VCSM_SIM_BINARY, "true"});
    EXPECT_EQ(made.status, 125);
    EXPECT_THAT(made.err, HasSubstr("another seccomp listener is already there"));
}

TEST(command, leaves_no_temporary_files) {
    const std::string directory = vcsm::test::fresh_path("tmp");
    std::filesystem::create_directory(directory);
    how manner;
    manner.environment = {{"XDG_RUNTIME_DIR", directory}};
    (void)live({"clean"}, manner);
    EXPECT_TRUE(std::filesystem::is_empty(directory));
    manner.meanwhile = [](pid_t keeper) {
        std::this_thread::sleep_for(std::chrono::milliseconds{300});
        ::kill(child_of(keeper), SIGKILL);
    };
    (void)live({"sleep", "100"}, manner);
    EXPECT_TRUE(std::filesystem::is_empty(directory));
    std::filesystem::remove_all(directory);
}

} // namespace
