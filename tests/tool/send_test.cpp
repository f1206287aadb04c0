#include "vcsm_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using vcsm_tests::running;
using vcsm_tests::temporary_directory;
using vcsm_tests::vcsm;
using vcsm_tests::vcsm_command;

std::string bytes_of(std::size_t count) {
    std::string made(count, '\0');
    for (std::size_t i = 0; i < count; ++i) {
        made[i] = static_cast<char>((i * 7 + i / 251) % 256);
    }
    return made;
}

// coreutils computes the sum that the command's is held against.
std::string sha256_of(const std::string& content) {
    return vcsm_tests::run({"sha256sum"}, {{}, content, {}}).out.substr(0, 64);
}

nlohmann::json sent(const std::vector<std::string>& arguments, vcsm_tests::surroundings around = {}) {
    std::vector<std::string> words{"send", "--json"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    const auto done = vcsm(words, std::move(around));
    EXPECT_EQ(done.status, 0) << done.err;
    return done.status == 0 ? nlohmann::json::parse(done.out) : nlohmann::json::object();
}

class sending : public testing::Test {
  protected:
    temporary_directory directory;
};

class sending_with_cache : public testing::TestWithParam<const char*> {
  protected:
    temporary_directory directory;
};
INSTANTIATE_TEST_SUITE_P(each, sending_with_cache, testing::Values("none", "host", "videocore", "both"));

TEST_P(sending_with_cache, puts_the_files_bytes_where_videocore_reads_them) {
    const std::string content = bytes_of(3000001);
    const auto said = sent({directory.write("photo", content), "--cache", GetParam(), "--name", "a photograph"});
    EXPECT_EQ(said.at("device"), "simulated");
    EXPECT_EQ(said.at("name"), "a photograph");
    EXPECT_EQ(said.at("bytes"), 3000001);
    EXPECT_GE(said.at("capacity").get<int>(), 3000001);
    EXPECT_EQ(said.at("cache"), GetParam());
    EXPECT_GT(said.at("handle").get<int>(), 0);
    EXPECT_GT(said.at("videocore_handle").get<int>(), 0);
    EXPECT_GT(said.at("bus_address").get<std::uint64_t>(), 0U);
    EXPECT_EQ(said.at("sha256"), sha256_of(content));
    EXPECT_EQ(said.at("verified"), "videocore");
    EXPECT_GT(said.at("seconds").get<double>(), 0);
    EXPECT_GT(said.at("bytes_per_second").get<double>(), 0);
    EXPECT_EQ(said.size(), 12U);
}

TEST_P(sending_with_cache, takes_a_stream_whose_size_nobody_knows) {
    for (const std::size_t bytes :
         {std::size_t{1}, std::size_t{65535}, std::size_t{65536}, std::size_t{65537}, std::size_t{1000000}}) {
        const std::string content = bytes_of(bytes);
        const std::string file = directory.write("stream", content);
        const auto said = vcsm_tests::run(
            {"sh", "-c", "cat \"$1\" | \"$0\" send - --json --cache \"$2\"", VCSM_COMMAND, file, GetParam()},
            {{{"VCSM_DEVICE", "simulated"}}, {}, {}});
        ASSERT_EQ(said.status, 0) << said.err;
        const auto json = nlohmann::json::parse(said.out);
        EXPECT_EQ(json.at("bytes"), bytes);
        EXPECT_EQ(json.at("sha256"), sha256_of(content));
        EXPECT_EQ(json.at("name"), "stdin");
    }
}

TEST_F(sending, tells_people_what_it_did) {
    const auto said = vcsm({"send", VCSM_SOURCE "/share/lens-shading/imx219-cos4.bin", "--name", "ls_grid"});
    EXPECT_EQ(said.status, 0);
    EXPECT_THAT(said.out, testing::AllOf(HasSubstr("sent 8112 bytes into block \"ls_grid\""), HasSubstr("by VideoCore"),
                                         HasSubstr("SHA-256"), HasSubstr("bus address")));
    EXPECT_THAT(said.err, IsEmpty());
}

TEST_F(sending, names_the_block_after_the_file) {
    EXPECT_EQ(sent({directory.write("ünïcode name", "x")}).at("name"), "ünïcode name");
    EXPECT_EQ(vcsm({"send", "--json", directory.write("not \xff utf8", "x")}).status, 0);
}

TEST_F(sending, fails_when_videocore_reads_other_bytes) {
    const std::string file = directory.write("photo", bytes_of(3000000));
    const auto first = vcsm({"send", file}, {{{"VCSM_SIM_FAULTS", "read@1=flip"}}, {}, {}});
    EXPECT_EQ(first.status, 1);
    EXPECT_THAT(first.out, IsEmpty());
    EXPECT_THAT(first.err, HasSubstr("VideoCore read back other bytes than were sent"));
    const auto last = vcsm({"send", file}, {{{"VCSM_SIM_FAULTS", "read@3=flip"}}, {}, {}});
    EXPECT_EQ(last.status, 1);
    EXPECT_THAT(last.err, HasSubstr("between bytes 2097152 and 2999999"));
}

TEST_F(sending, fails_in_one_sentence_whatever_the_device_refuses) {
    const std::string file = directory.write("photo", bytes_of(100000));
    for (const char* const fault :
         {"alloc@1=ENOMEM", "map@1=ENOMEM", "lock@1=EIO", "sync@1=EIO", "unlock@1=EIO", "sync@2=EIO", "read@1=EIO"}) {
        const auto refused = vcsm({"send", "--cache", "host", file}, {{{"VCSM_SIM_FAULTS", fault}}, {}, {}});
        EXPECT_EQ(refused.status, 1) << fault;
        EXPECT_THAT(refused.out, IsEmpty());
        EXPECT_THAT(refused.err, testing::StartsWith("vcsm: cannot ")) << fault;
        EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
    }
    const auto repeated =
        vcsm({"send", "--cache", "host", file},
             {{{"VCSM_SIM_FAULTS", "alloc@*=EINTR,lock@*=EAGAIN,sync@*=EINTR,unlock@1-9=EINTR"}}, {}, {}});
    EXPECT_EQ(repeated.status, 0) << "what a signal interrupts is repeated";
}

TEST_F(sending, names_the_file_and_the_reason_when_it_cannot_be_read) {
    const auto expect = [&](const std::string& file, const char* reason) {
        const auto refused = vcsm({"send", file});
        EXPECT_EQ(refused.status, 1) << file;
        EXPECT_THAT(refused.out, IsEmpty());
        EXPECT_THAT(refused.err, HasSubstr(reason)) << file;
        EXPECT_THAT(refused.err, HasSubstr(file));
    };
    expect(directory / "missing", "No such file or directory");
    expect(directory / "", "is a directory");
    expect(directory.write("empty", ""), "is empty");
    expect("/dev/null", "is empty");
    expect("/proc/self/mem", "Input/output error");
    const auto closed =
        vcsm_tests::run({"sh", "-c", "exec \"$0\" send - <&-", VCSM_COMMAND}, {{{"VCSM_DEVICE", "simulated"}}, {}, {}});
    EXPECT_EQ(closed.status, 1);
    EXPECT_THAT(closed.err, HasSubstr("standard input"));
}

TEST_F(sending, needs_permission_to_read_the_file) {
    const std::string file = directory.write("secret", "x");
    ::chmod(file.c_str(), 0);
    if (::geteuid() == 0) { // root reads everything: be somebody else
        ::chmod((directory / "").c_str(), 0755);
        const auto refused = vcsm_tests::run({"setpriv", "--reuid=65534", "--clear-groups", VCSM_COMMAND, "send", file},
                                             {{{"VCSM_DEVICE", "simulated"}}, {}, {}});
        if (refused.status == 127 || refused.err.find("setpriv") != std::string::npos) {
            GTEST_SKIP() << "root, and nobody else can run " VCSM_COMMAND ": " << refused.err;
        }
        EXPECT_EQ(refused.status, 1);
        EXPECT_THAT(refused.err, HasSubstr("Permission denied"));
    } else {
        EXPECT_THAT(vcsm({"send", file}).err, HasSubstr("Permission denied"));
    }
}

TEST_F(sending, says_what_is_free_and_the_remedy_when_there_is_no_room) {
    const auto full =
        vcsm({"send", directory.write("large", bytes_of(3000000))}, {{{"VCSM_SIM_MEMORY", "1M"}}, {}, {}});
    EXPECT_EQ(full.status, 1);
    EXPECT_THAT(full.err, testing::AllOf(HasSubstr("3000000 bytes"), HasSubstr("of 1048576 bytes are free"),
                                         HasSubstr("largest piece"), HasSubstr("VCSM_SIM_MEMORY")));
}

TEST_F(sending, says_what_is_wrong_with_the_environment) {
    const std::string file = directory.write("f", "x");
    EXPECT_THAT(vcsm({"send", file}, {{{"VCSM_SIM_MEMORY", "lots"}}, {}, {}}).err,
                HasSubstr("VCSM_SIM_MEMORY is \"lots\""));
    EXPECT_THAT(vcsm({"send", file}, {{{"VCSM_SIM_FAULTS", "alloc@3"}}, {}, {}}).err, HasSubstr("fault \"alloc@3\""));
}

TEST_F(sending, notices_a_file_that_shrinks_while_it_is_read) {
    // FUSE would be needed to time this; a file that says it is larger than what it gives does the same: one in /sys.
    const auto refused = vcsm({"send", "/sys/kernel/mm/transparent_hugepage/enabled"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, HasSubstr("ended after"));
}

TEST_F(sending, holds_the_block_until_told_to_end_and_then_succeeds) {
    for (const int signal : {SIGTERM, SIGINT}) {
        running holder{vcsm_command({"send", VCSM_SOURCE "/LICENSE", "--hold"}),
                       {{{"VCSM_DEVICE", "simulated"}}, {}, {}}};
        ASSERT_TRUE(holder.prints("holding the block"));
        holder.signal(signal);
        EXPECT_EQ(holder.wait().status, 0);
    }
    running json{vcsm_command({"send", VCSM_SOURCE "/LICENSE", "--hold", "--json"}),
                 {{{"VCSM_DEVICE", "simulated"}}, {}, {}}};
    ASSERT_TRUE(json.prints("}\n"));
    json.signal(SIGTERM);
    EXPECT_TRUE(nlohmann::json::accept(json.wait().out));
}

TEST_F(sending, ends_by_the_signal_when_interrupted_in_the_middle) {
    const std::string pipe = directory / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    running sender{vcsm_command({"send", pipe}), {{{"VCSM_DEVICE", "simulated"}, {"VCSM_LOG", "info"}}, {}, {}}};
    const int end = ::open(pipe.c_str(), O_WRONLY | O_CLOEXEC); // returns when the command has opened it too
    ASSERT_EQ(::write(end, "some", 4), 4);
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
    sender.signal(SIGINT);
    const auto ended = sender.wait();
    ::close(end);
    EXPECT_EQ(ended.status, 128 + SIGINT);
    EXPECT_THAT(ended.out, IsEmpty());
    EXPECT_THAT(ended.err, HasSubstr("service stopped")) << "its block was freed first";
}

TEST_F(sending, reads_a_large_file_without_a_second_copy_in_memory) {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer keeps several bytes of its own for each byte of a block";
#endif
    const std::string file = directory / "large";
    ASSERT_EQ(::close(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    constexpr off_t bytes = off_t{256} << 20;
    ASSERT_EQ(::truncate(file.c_str(), bytes), 0);
    running holder{vcsm_command({"send", file, "--hold"}),
                   {{{"VCSM_DEVICE", "simulated"}, {"VCSM_SIM_MEMORY", "300M"}}, {}, {}}};
    ASSERT_TRUE(holder.prints("holding the block"));
    const std::string status = vcsm_tests::content_of("/proc/" + std::to_string(holder.process()) + "/status");
    const std::size_t peak = status.find("RssAnon:");
    ASSERT_NE(peak, std::string::npos);
    // A second copy would be all of it, and AddressSanitizer has a byte of its own for each eight.
    EXPECT_LT(std::atol(status.c_str() + peak + 8), bytes / 2 / 1024) << "kB of anonymous memory";
    holder.signal(SIGTERM);
    EXPECT_EQ(holder.wait().status, 0);
}

} // namespace
