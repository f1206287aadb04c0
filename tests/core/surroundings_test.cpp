// Processes that are short of something, are interrupted all the time, or were started in an unusual way. Each test is
// a child of its own, which says what did not hold.
#include "child.hpp"
#include "emulators.hpp"
#include "fresh.hpp"

#include "kernel/syscalls.hpp"

#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <functional>
#include <memory_resource>
#include <new>
#include <optional>
#include <string>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using testing::IsEmpty;
using vcsm::cache_mode;
using vcsm::shared_memory;
using vcsm_tests::pattern;

/// Runs `work` in a child, whose service stops after it; what it says.
std::string in_child(const std::function<std::string()>& work) {
    return vcsm_tests::said_by_child([&] {
        std::string said = work();
        vcsm::stop_service();
        return said;
    });
}

/// Whether all of a block is right, for the CPU and for VideoCore.
bool holds(const shared_memory& block, const std::vector<std::byte>& expected) {
    return block.to_vector<std::byte>() == expected &&
           vcsm_tests::seen_by_videocore(block, expected.size()) == expected;
}

rlim_t limited(__rlimit_resource_t what, rlim_t to) {
    struct rlimit limits {};
    ::getrlimit(what, &limits);
    const rlim_t before = limits.rlim_cur;
    limits.rlim_cur = to;
    ::setrlimit(what, &limits);
    return before;
}

std::size_t mapped_bytes() {
    const std::string pages = vcsm::kernel::read_text("/proc/self/statm");
    return std::stoul(pages) * vcsm::kernel::page_size();
}

TEST(standard_streams, that_are_closed_are_no_blocks_afterwards) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    EXPECT_THAT(in_child([&]() -> std::string {
                    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
                        ::close(stream);
                    }
                    std::vector<shared_memory> blocks;
                    std::vector<int> given;
                    for (int i = 0; i < 5; ++i) {
                        shared_memory& block = blocks.emplace_back(std::size_t{5000}, "b", cache_mode::host);
                        block.copy_from(pattern(5000));
                        given.push_back(block.dmabuf());
                        given.push_back(block.export_dmabuf());
                    }
                    vcsm::send_block(ends[0], blocks[0]);
                    const shared_memory received = vcsm::receive_block(ends[1]);
                    for (const int each : given) {
                        if (each <= STDERR_FILENO) {
                            return "descriptor " + std::to_string(each) + " was given out";
                        }
                    }
                    constexpr std::string_view text = "what a program prints";
                    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
                        if (::write(stream, text.data(), text.size()) != -1 || errno != EBADF) {
                            return "something was opened as descriptor " + std::to_string(stream);
                        }
                    }
                    for (const shared_memory& block : blocks) {
                        if (!holds(block, pattern(5000))) {
                            return "what was printed is in a block";
                        }
                    }
                    return {};
                }),
                IsEmpty());
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST(descriptors, that_are_used_up_are_said_and_nothing_is_left_half_made) {
    EXPECT_THAT(in_child([]() -> std::string {
                    vcsm::start_service();
                    const int next = ::dup(STDIN_FILENO);
                    ::close(next);
                    const rlim_t before = limited(RLIMIT_NOFILE, static_cast<rlim_t>(next) + 10);
                    std::vector<shared_memory> blocks;
                    int refused = 0;
                    try {
                        for (int i = 0; i < 100; ++i) {
                            blocks.emplace_back(std::size_t{5000}, "b").copy_from(pattern(5000));
                            (void)blocks.back().dmabuf();
                        }
                    } catch (const vcsm::error& failed) {
                        refused = failed.code().value();
                    }
                    if (refused != EMFILE) {
                        return "with no descriptor left it failed with errno " + std::to_string(refused);
                    }
                    for (const shared_memory& block : blocks) {
                        if (!holds(block, pattern(5000))) {
                            return "a failure lost data";
                        }
                    }
                    limited(RLIMIT_NOFILE, before);
                    const vcsm::kernel::unique_fd exported{blocks.back().export_dmabuf()};
                    if (!exported || !holds(blocks.back(), pattern(5000))) {
                        return "it does not go on once there are descriptors again";
                    }
                    blocks.clear();
                    return vcsm::videocore::list().empty() ? "" : "VideoCore has blocks";
                }),
                IsEmpty());
}

TEST(room_for_addresses, that_is_used_up_is_said_and_nothing_is_left_half_made) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer has most addresses for itself";
#endif
    if (!vcsm_test::honours_rlimit_as()) {
        GTEST_SKIP() << vcsm_test::ignores_rlimit_as;
    }
    EXPECT_THAT(in_child([]() -> std::string {
                    vcsm::videocore::reset();
                    const auto refusal = [](const std::function<void()>& work) -> std::string {
                        try {
                            work();
                        } catch (const vcsm::error& failed) {
                            return failed.code().value() == ENOMEM ? "" : failed.what();
                        } catch (const std::bad_alloc&) {
                            return "";
                        }
                        return "with no addresses left it did not say so";
                    };
                    // VideoCore's memory is mapped at the start, and is then where all blocks are.
                    const rlim_t before = limited(RLIMIT_AS, mapped_bytes() + (std::size_t{16} << 20));
                    std::string wrong = refusal([] { const shared_memory none{5000, "none", cache_mode::host}; });
                    if (!vcsm::blocks().empty()) {
                        wrong += "a block that could not be made is there";
                    }
                    limited(RLIMIT_AS, before);
                    shared_memory first{5000, "first", cache_mode::host};
                    first.copy_from(pattern(5000));

                    if (!holds(first, pattern(5000))) {
                        wrong += "it does not go on once there are addresses again";
                    }
                    first.close();
                    return wrong.empty() && !vcsm::videocore::list().empty() ? "VideoCore has blocks" : wrong;
                }),
                IsEmpty());
}

std::atomic<unsigned> signals{0};

TEST(a_storm_of_signals, changes_nothing) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    EXPECT_THAT(in_child([&]() -> std::string {
                    struct sigaction action {};
                    action.sa_handler = [](int) { ++signals; };
                    ::sigaction(SIGPROF, &action, nullptr); // without SA_RESTART
                    ::sigaction(SIGALRM, &action, nullptr);
                    const struct itimerval each_millisecond {
                        {0, 1000}, { 0, 1000 }
                    };
                    ::setitimer(ITIMER_REAL, &each_millisecond, nullptr);
                    ::setitimer(ITIMER_PROF, &each_millisecond, nullptr);
                    std::string wrong;
                    for (unsigned round = 0; wrong.empty() && (round < 300 || signals < 200); ++round) {
                        const std::vector<std::byte> data = pattern(1000 + round % 7000, round);
                        shared_memory block{data.size(), "b", round % 2 == 0 ? cache_mode::none : cache_mode::host};
                        block.copy_from(data);
                        {
                            auto locked = block.lock(vcsm::access::write);
                            locked[0] = data[0];
                        }
                        vcsm::send_block(ends[0], block);
                        const shared_memory received = vcsm::receive_block(ends[1]);
                        if (!holds(block, data) || received.to_vector<std::byte>() != data) {
                            wrong = "a block holds other bytes than were copied in";
                        }
                        block.resize(data.size() + 5000);
                        if (block.to_vector<std::byte>()[data.size() - 1] != data.back()) {
                            wrong = "resizing lost data";
                        }
                    }
                    const struct itimerval off {};
                    ::setitimer(ITIMER_REAL, &off, nullptr);
                    ::setitimer(ITIMER_PROF, &off, nullptr);
                    return wrong.empty() && !vcsm::videocore::list().empty() ? "VideoCore has blocks" : wrong;
                }),
                IsEmpty());
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST(a_program_that_is_executed, inherits_neither_descriptors_nor_blocks) {
    EXPECT_THAT(in_child([]() -> std::string {
                    const shared_memory block{5000, "b", cache_mode::host};
                    const int exported = block.export_dmabuf();
                    const auto locked = block.lock(vcsm::access::write);
                    // Standard output is where that program says what it has. It has its own directory open, too.
                    std::array<int, 2> ends{};
                    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
                        return "no pipe";
                    }
                    const pid_t child = ::vfork();
                    if (child == 0) {
                        ::dup2(ends[1], STDOUT_FILENO);
                        ::execlp("sh", "sh", "-c", "ls -l /proc/self/fd", nullptr);
                        ::_exit(127);
                    }
                    ::close(ends[1]);
                    std::string said;
                    std::array<char, 1024> piece{};
                    for (ssize_t got = 0; (got = ::read(ends[0], piece.data(), piece.size())) > 0;) {
                        said.append(piece.data(), static_cast<std::size_t>(got));
                    }
                    int status = 0;
                    ::waitpid(child, &status, 0);
                    ::close(ends[0]);
                    ::close(exported);
                    if (status != 0 || said.find("->") == std::string::npos) {
                        return "ls did not say what it has: " + said;
                    }
                    return said.find("memfd") == std::string::npos ? "" : "it has " + said;
                }),
                IsEmpty());
}

/// An element that cannot be made.
struct refusing {
    refusing() { throw std::runtime_error{"refused"}; }
};

TEST(an_exception, out_of_an_element_in_a_block_gives_its_memory_back) {
    vcsm::videocore::reset();
    {
        vcsm::pool frames{std::size_t{1} << 16, "frames"};
        vcsm::memory_resource memory{frames};
        EXPECT_THROW((std::pmr::vector<refusing>{100, &memory}), std::runtime_error);
        EXPECT_EQ(frames.statistics().used, 0U);
    }
    EXPECT_THAT(vcsm::videocore::list(), IsEmpty());
    vcsm::videocore::reset();
}

TEST(an_exception, out_of_a_lock_of_each_kind_leaves_the_block_unlocked) {
    vcsm::videocore::reset();
    for (const cache_mode cache : {cache_mode::none, cache_mode::host}) {
        const shared_memory block{4096, "b", cache};
        const auto thrown_in_locks = [&] {
            const auto outer = block.lock(vcsm::access::overwrite);
            const auto inner = block.lock<std::uint32_t>(vcsm::access::write);
            const auto reader = block.lock(vcsm::access::read);
            throw std::runtime_error{"the program's own"};
        };
        EXPECT_THROW(thrown_in_locks(), std::runtime_error);
        EXPECT_EQ(vcsm::blocks().at(0).locks, 0U);
    }
    vcsm::videocore::reset();
}

} // namespace
