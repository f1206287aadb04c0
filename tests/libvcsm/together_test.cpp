// C, C++ and the process around them: one core, one handle space.
#include "emulators.hpp"
#include "running.hpp"

#include <string>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using together = libvcsm_tests::running;

TEST_F(together, a_handle_from_cpp_works_here_and_the_other_way_round) {
    vcsm::shared_memory block{100, "from C++", vcsm::cache_mode::host};
    auto* const memory = static_cast<std::byte*>(vcsm_lock(block.handle()));
    ASSERT_NE(memory, nullptr);
    memory[9] = std::byte{9};
    EXPECT_EQ(vcsm_unlock_hdl(block.handle()), 0);
    EXPECT_EQ(block.to_vector()[9], std::byte{9});
    EXPECT_EQ(vcsm_vc_hdl_from_hdl(block.handle()), block.videocore_handle());
    vcsm_free(block.handle());
    EXPECT_FALSE(block);
    EXPECT_THROW((void)block.size(), vcsm::no_block);
}

TEST_F(together, the_cache_mode_stays_once_cpp_gave_the_videocore_handle_away) {
    const vcsm::shared_memory block{100, "b"};
    (void)block.videocore_handle();
    VCSM_CACHE_TYPE_T got = VCSM_CACHE_TYPE_VC;
    EXPECT_NE(vcsm_lock_cache(block.handle(), VCSM_CACHE_TYPE_HOST, &got), nullptr);
    EXPECT_EQ(got, VCSM_CACHE_TYPE_NONE);
}

TEST_F(together, the_bare_handle_of_a_pools_block_behind_the_start_is_refused) {
    vcsm::pool parts{65536, "parts"};
    const vcsm::shared_memory one = parts.allocate(64);
    const vcsm::shared_memory two = parts.allocate(64);
    const bool one_is_first = one.location().offset == 0;
    const unsigned first = (one_is_first ? one : two).handle();
    const unsigned behind = (one_is_first ? two : one).handle();
    EXPECT_NE(vcsm_vc_hdl_from_hdl(first), 0U);
    for (int again = 0; again < 2; ++again) {
        errno = 0;
        EXPECT_EQ(vcsm_vc_hdl_from_hdl(behind), 0U) << "its user would read its neighbour";
        EXPECT_EQ(errno, ENOTSUP);
        EXPECT_EQ(vcsm_export_dmabuf(behind), -ENOTSUP);
    }
    EXPECT_EQ(vcsm_vc_addr_from_hdl(behind), (one_is_first ? two : one).bus_address());
}

TEST_F(together, the_service_goes_on_while_cpp_holds_it) {
    const vcsm::service_manager manager;
    const unsigned handle = vcsm_malloc(100, "b");
    vcsm_exit();
    EXPECT_NE(vcsm_usr_address(handle), nullptr);
    ASSERT_EQ(vcsm_init(), 0);
    vcsm_free(handle);
}

TEST_F(together, a_child_has_none_of_its_parents_blocks_and_may_start_its_own) {
    const unsigned handle = vcsm_malloc(100, "parent's");
    ASSERT_NE(vcsm_lock(handle), nullptr);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const bool none = vcsm_lock(handle) == nullptr && vcsm_unlock_hdl(handle) == -EINVAL;
        vcsm_free(handle);
        vcsm_exit(); // the parent's vcsm_init() does not count here
        const bool refused = vcsm_malloc(100, "b") == 0 && errno == ENODEV;
        const bool started = vcsm_init() == 0;
        const unsigned own = vcsm_malloc(100, "child's");
        const bool works = own != 0 && vcsm_lock(own) != nullptr && vcsm_unlock_hdl(own) == 0;
        vcsm_exit();
        ::_exit(none && refused && started && works ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(vcsm_unlock_hdl(handle), 0) << "the parent's is as it was";
}

/// What a child with that VCSM_LOG writes on standard error about a mistake.
std::string said_about_a_mistake(const char* level) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        ::setenv("VCSM_LOG", level, 1);
        ::execl("/proc/self/exe", "libvcsm_test", "--gtest_filter=DISABLED_program.makes_a_mistake",
                "--gtest_also_run_disabled_tests", static_cast<char*>(nullptr));
        ::_exit(127);
    }
    ::close(ends[1]);
    std::string said;
    char part[512];
    for (ssize_t got = 0; (got = ::read(ends[0], part, sizeof part)) > 0;) {
        said.append(part, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return said;
}

TEST(DISABLED_program, makes_a_mistake) { // NOLINT: what the test below starts
    ASSERT_EQ(vcsm_init(), 0);
    (void)vcsm_lock(4711);
    vcsm_exit();
}

TEST(log, says_what_failed_and_why_where_it_is_asked_for) {
    if (!vcsm_test::starts_own_program()) {
        GTEST_SKIP() << vcsm_test::starts_no_program;
    }
    for (const char* const level : {"error", "info", "debug"}) {
        const std::string said = said_about_a_mistake(level);
        EXPECT_NE(said.find("vcsm_lock"), std::string::npos) << said;
        EXPECT_NE(said.find("4711"), std::string::npos) << said;
    }
}

TEST(log, is_silent_otherwise) {
    EXPECT_EQ(said_about_a_mistake(""), "");
}

} // namespace
