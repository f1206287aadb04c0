// What a test may have to do without under an emulator of another processor (scripts/test-arm), where programs talk to
// the kernel through it. Each is found out by trying it, and a test that needs it says so when it is skipped.
#pragma once

#include <csignal>
#include <cstddef>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vcsm_test {

inline constexpr const char* ignores_madv_dontfork = "this system ignores MADV_DONTFORK, as qemu's user mode does";

/// Whether a child of a fork is without the memory that its parent told the kernel not to pass on.
inline bool honours_madv_dontfork() {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || ::madvise(memory, page, MADV_DONTFORK) != 0) {
        return false;
    }
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGSEGV, SIG_DFL);
        *static_cast<volatile char*>(memory) = 1;
        ::_exit(0);
    }
    int status = 0;
    const bool waited = ::waitpid(child, &status, 0) == child;
    ::munmap(memory, page);
    return waited && WIFSIGNALED(status);
}

inline constexpr const char* ignores_rlimit_as = "this system ignores RLIMIT_AS, as qemu's user mode does";

/// Whether a process can be kept from mapping more.
inline bool honours_rlimit_as() {
    constexpr std::size_t little = std::size_t{1} << 20;
    const pid_t child = ::fork();
    if (child == 0) {
        const rlimit limit{little, little};
        const bool refused = ::setrlimit(RLIMIT_AS, &limit) == 0 &&
                             ::mmap(nullptr, 64 * little, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
        ::_exit(refused ? 0 : 1);
    }
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

inline constexpr const char* starts_no_program = "this system cannot start the test's own program, as qemu's user mode";

/// Whether a test can start the program that it is in.
inline bool starts_own_program() {
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(STDOUT_FILENO);
        ::execl("/proc/self/exe", "itself", "--gtest_list_tests", static_cast<char*>(nullptr));
        ::_exit(127);
    }
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) != 127;
}

} // namespace vcsm_test
