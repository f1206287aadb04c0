// Part of a test in a process of its own.
#pragma once

#include <array>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory> // what C++ library it is
#include <string>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace vcsm_tests {

/// AddressSanitizer's allocator of GCC 12 leaves its locks to the child as the parent's threads had them, also one that
/// just ends, and hangs there: with it there must be no other thread at a fork.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool threads_may_allocate_over_a_fork = false;
#else
inline constexpr bool threads_may_allocate_over_a_fork = true;
#endif

/// Debian's C++ library for armel counts the owners of a shared_ptr under a mutex: the child is left with it locked
/// where another thread of the parent was just counting, and no more can be done there with what both used.
#if defined(__GLIBCXX__) && !defined(_GLIBCXX_HAVE_ATOMIC_LOCK_POLICY)
inline constexpr bool children_may_use_what_threads_share = false;
#else
inline constexpr bool children_may_use_what_threads_share = true;
#endif

/// Runs in a child process; what it returns is the child's exit status, 99 for an exception, 100 + n for signal n.
inline int in_child(const std::function<int()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
        int status = 99;
        try {
            status = work();
        } catch (const std::exception& failed) {
            std::fprintf(stderr, "in the child: %s\n", failed.what());
        }
        ::_exit(status);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/// Runs in a child process, which a minute ends; gives what it returns, or what the exception out of it says.
inline std::string said_by_child(const std::function<std::string()>& work) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    // Out of the way of work that counts on which descriptors are free.
    const int write_end = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 50);
    ::close(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(60);
        std::string said;
        try {
            said = work();
        } catch (const std::exception& thrown) {
            said = thrown.what();
        }
        (void)!::write(write_end, said.data(), said.size());
        ::_exit(0);
    }
    ::close(write_end);
    std::string said;
    std::array<char, 1024> piece{};
    for (ssize_t got = 0; (got = ::read(ends[0], piece.data(), piece.size())) > 0;) {
        said.append(piece.data(), static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status)) << "the child died by signal " << WTERMSIG(status);
    return said;
}

} // namespace vcsm_tests
