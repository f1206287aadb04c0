// A C library that has no memory for what must be done at a fork and at the end. A program of its own, for that is
// asked for once a process.
#include <vcsm/vcsm.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cxxabi.h>

#include <sys/wait.h>
#include <unistd.h>

extern "C" {

// What glibc's functions of these names call.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
int __register_atfork(void (*before)(), void (*parent)(), void (*child)(), void* object);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

int refuse_atfork = 1;
int refuse_atexit = 1;
int registered_atfork = 0;
int registered_atexit = 0;

int pthread_atfork(void (*before)(), void (*parent)(), void (*child)()) {
    if (refuse_atfork-- > 0) {
        return ENOMEM;
    }
    ++registered_atfork;
    return __register_atfork(before, parent, child, nullptr);
}

int atexit(void (*at_exit)()) {
    if (refuse_atexit-- > 0) {
        return 1;
    }
    ++registered_atexit;
    return abi::__cxa_atexit(reinterpret_cast<void (*)(void*)>(at_exit), nullptr, nullptr);
}
}

namespace {

TEST(a_start, that_the_c_library_has_no_memory_for_fails_and_can_be_repeated) {
    vcsm::stop_service(); // nothing to stop, and nothing that needs memory
    for (const char* const call : {"pthread_atfork", "atexit"}) {
        try {
            vcsm::start_service();
            FAIL() << call << " failed, and nobody noticed";
        } catch (const vcsm::error& refused) {
            EXPECT_EQ(refused.code().value(), ENOMEM);
            EXPECT_THAT(refused.what(), testing::HasSubstr(call));
        }
        EXPECT_FALSE(vcsm::service_running());
    }
    const pid_t early = ::fork(); // with the one registered, and no service yet
    if (early == 0) {
        ::_exit(vcsm::service_running() ? 1 : 0);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(early, &status, 0), early);
    EXPECT_EQ(status, 0);

    const vcsm::shared_memory block{100, "after all"};
    EXPECT_EQ(registered_atfork, 1);
    EXPECT_EQ(registered_atexit, 1);
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(static_cast<bool>(block) ? 1 : 0);
    }
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "a child has its parent's block";
    EXPECT_TRUE(block);
}

} // namespace
