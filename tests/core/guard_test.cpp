// VCSM_GUARD=1. Each stray access is made in a process of its own, which ends with SIGSEGV as it would without us.
#include "fresh.hpp"

#include <vcsm/vcsm.hpp>

#include <array>
#include <atomic>
#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using vcsm::cache_mode;
using vcsm::shared_memory;

[[maybe_unused]] const bool asked_for = ::setenv("VCSM_GUARD", "1", 1) == 0;

struct end_of_child {
    int signal = 0; // 0: it ended by itself
    int status = 0; // then 1 if an expectation failed in it
    std::string said;
};

/// Runs `program` in a child, with nobody but the guard to handle SIGSEGV.
end_of_child run(const std::function<void()>& program) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        ::signal(SIGSEGV, SIG_DFL);
        program();
        ::_exit(testing::Test::HasFailure() ? 1 : 0);
    }
    ::close(ends[1]);
    end_of_child end;
    std::array<char, 4096> piece{};
    for (ssize_t got = 0; (got = ::read(ends[0], piece.data(), piece.size())) > 0;) {
        end.said.append(piece.data(), static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (const std::size_t emulators = end.said.find("qemu: uncaught target signal"); emulators != std::string::npos) {
        end.said.resize(emulators);
    }
    end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return end;
}

std::byte* address_of(const shared_memory& block) {
    return block.lock(vcsm::access::read).data() == nullptr
               ? nullptr
               : const_cast<std::byte*>(block.lock(vcsm::access::read).data());
}

void touch(volatile std::byte* where) {
    *where = std::byte{1};
}

class guarded : public testing::TestWithParam<cache_mode> {};

TEST_P(guarded, a_write_without_a_lock_names_the_block_and_the_place) {
    const end_of_child end = run([] {
        shared_memory block{8192, "ls_grid", GetParam()};
        touch(address_of(block) + 4097);
    });
    EXPECT_EQ(end.signal, SIGSEGV);
    EXPECT_THAT(end.said, AllOf(HasSubstr("stray "), HasSubstr("byte 4097 of block \"ls_grid\""),
                                HasSubstr("was unlocked "), HasSubstr("; made at /"), HasSubstr("guard_test+0x")));
    EXPECT_EQ(std::count(end.said.begin(), end.said.end(), '\n'), 1);
}

TEST_P(guarded, a_read_without_a_lock_is_found_too) {
    const end_of_child end = run([] {
        shared_memory block{100, "read", GetParam()};
        const volatile std::byte* const first = address_of(block);
        (void)*first;
    });
    EXPECT_EQ(end.signal, SIGSEGV);
    EXPECT_THAT(end.said, HasSubstr("byte 0 of block \"read\""));
}

TEST_P(guarded, under_a_read_lock_reading_is_fine_and_writing_is_found) {
    const end_of_child end = run([] {
        shared_memory block{100, "reader", GetParam()};
        const auto locked = block.lock(vcsm::access::read);
        if (locked[5] != std::byte{0}) {
            return;
        }
        touch(const_cast<std::byte*>(locked.data()) + 5);
    });
    EXPECT_EQ(end.signal, SIGSEGV);
    EXPECT_THAT(end.said, AllOf(HasSubstr("byte 5 of block \"reader\""), HasSubstr("is locked for reading alone")));
}

TEST_P(guarded, nested_locks_keep_it_accessible_until_the_last_ends) {
    const end_of_child end = run([] {
        shared_memory block{100, "nested", GetParam()};
        auto outer = block.lock(vcsm::access::write);
        block.lock(vcsm::access::write).unlock();
        block.lock(vcsm::access::read).unlock();
        touch(outer.data());
        const auto reader = block.lock(vcsm::access::read);
        outer.unlock();
        if (reader[0] != std::byte{1}) {
            ::_exit(1);
        }
    });
    EXPECT_EQ(end.signal, 0);
    EXPECT_EQ(end.status, 0);
    EXPECT_THAT(end.said, IsEmpty());
}

TEST_P(guarded, a_lock_of_another_thread_counts) {
    const end_of_child end = run([] {
        shared_memory block{100, "threads", GetParam()};
        std::byte* const first = address_of(block);
        auto mine = block.lock(vcsm::access::write);
        std::thread([&] { block.lock(vcsm::access::write).unlock(); }).join();
        touch(first);
        mine.unlock();
        std::thread([&] { touch(first); }).join();
    });
    EXPECT_EQ(end.signal, SIGSEGV);
    EXPECT_THAT(end.said, HasSubstr("block \"threads\""));
}

TEST_P(guarded, what_the_library_does_by_itself_is_no_stray_access) {
    const end_of_child end = run([] {
        shared_memory block{5000, "library", GetParam()};
        const std::array<char, 3> data{'a', 'b', 'c'};
        block.copy_from(data);
        std::array<char, 3> got{};
        vcsm::videocore::read(block.videocore_handle(), 0, std::as_writable_bytes(std::span{got}));
        EXPECT_EQ(got, data);
        const std::array<char, 3> written{'x', 'y', 'z'};
        vcsm::videocore::write(block.videocore_handle(), 0, std::as_bytes(std::span{written}));
        block.copy_to(got);
        EXPECT_EQ(got, written);
        ::close(block.export_dmabuf());
        block.resize(20000);
        block.copy_to(got);
        EXPECT_EQ(got, written);
        EXPECT_EQ(vcsm::blocks().size(), 1U);
        auto locked = block.lock(vcsm::access::write);
        vcsm::stop_service();
        locked[19999] = std::byte{1};
        locked.unlock();
    });
    EXPECT_EQ(end.signal, 0) << end.said;
    EXPECT_EQ(end.status, 0) << end.said;
}

TEST_P(guarded, memory_of_a_freed_block_can_be_given_to_another) {
    const end_of_child end = run([] {
        for (int i = 0; i < 3; ++i) {
            shared_memory block{4096, "again", GetParam()};
            block.copy_from(std::array<char, 1>{'a'});
        }
    });
    EXPECT_EQ(end.signal, 0) << end.said;
    EXPECT_EQ(end.status, 0) << end.said;
}

INSTANTIATE_TEST_SUITE_P(cached_or_not, guarded, testing::Values(cache_mode::none, cache_mode::host),
                         [](const auto& each) { return std::string{vcsm::to_string(each.param)}; });

TEST(guard, a_pools_blocks_in_one_allocation_share_its_locks) {
    const end_of_child end = run([] {
        vcsm::pool frames{1 << 16, "frames"};
        shared_memory one = frames.allocate(4096);
        shared_memory other = frames.allocate(4096);
        one.copy_from(std::array<char, 1>{'a'});
        const auto locked = other.lock(vcsm::access::write);
        touch(locked.data());
        one.close();
    });
    EXPECT_EQ(end.signal, 0) << end.said;
    EXPECT_EQ(end.status, 0) << end.said;
}

sigjmp_buf back;
std::atomic<void*> faulted{nullptr};

void earlier_handler(int, siginfo_t* info, void*) {
    faulted = info->si_addr;
    ::siglongjmp(back, 1);
}

TEST(guard, hands_on_to_the_handler_that_was_there_before) {
    const end_of_child end = run([] {
        struct sigaction earlier {};
        earlier.sa_sigaction = earlier_handler;
        earlier.sa_flags = SA_SIGINFO | SA_NODEFER;
        ::sigaction(SIGSEGV, &earlier, nullptr);
        shared_memory block{100, "handed on"};
        std::byte* const first = address_of(block);
        if (sigsetjmp(back, 1) == 0) {
            touch(first + 7);
            ::_exit(1);
        }
        if (faulted != first + 7) {
            ::_exit(2);
        }
        ::kill(::getpid(), SIGKILL); // so that the parent sees that it came here
    });
    EXPECT_EQ(end.signal, SIGKILL);
    EXPECT_THAT(end.said, HasSubstr("byte 7 of block \"handed on\""));
}

TEST(guard, has_nothing_to_say_of_other_addresses) {
    const end_of_child end = run([] {
        const shared_memory block{100, "not me"};
        void* const other = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        touch(static_cast<std::byte*>(other));
    });
    EXPECT_EQ(end.signal, SIGSEGV);
    EXPECT_THAT(end.said, IsEmpty());
}

} // namespace
