// What vcsm-sim does about memory whose holder goes while it looks, which no program can be made to do at will.
#include "lifetime.hpp"
#include "scratch.hpp"
#include "simulation.hpp"

#include "kernel/vcsm_cma.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

namespace sim = vcsm::sim;
namespace kernel = vcsm::kernel;
using ids = std::vector<std::uint64_t>;

struct watched_file : testing::Test {
    kernel::unique_fd memfd{::memfd_create("watched", MFD_ALLOW_SEALING)};
    sim::lifetimes lifetimes;

    // What __fput() does first; the lock goes later, without a word.
    void close_another_open() const { (void)kernel::open("/proc/self/fd/" + std::to_string(memfd.get()), O_RDWR); }
    static void let_go_of_the_lock(const sim::lifetimes::opened& open) {
        struct flock lock {};
        lock.l_type = F_UNLCK;
        lock.l_whence = SEEK_SET;
        ASSERT_EQ(::fcntl(open.file.get(), F_OFD_SETLK, &lock), 0);
    }
};

TEST_F(watched_file, is_gone_when_its_descriptor_is) {
    sim::lifetimes::opened open = lifetimes.open_again(memfd.get(), O_RDWR);
    EXPECT_EQ(lifetimes.gone(), ids{});
    open.file.reset();
    EXPECT_EQ(lifetimes.gone(), ids{open.id});
    EXPECT_FALSE(lifetimes.any());
}

TEST_F(watched_file, is_gone_though_the_kernel_let_go_of_the_lock_after_it_said_closed) {
    const sim::lifetimes::opened open = lifetimes.open_again(memfd.get(), O_RDWR);
    close_another_open();
    EXPECT_EQ(lifetimes.gone(), ids{});
    let_go_of_the_lock(open);
    EXPECT_EQ(lifetimes.gone(), ids{open.id});
    EXPECT_EQ(lifetimes.gone(), ids{});
}

TEST_F(watched_file, is_gone_though_another_open_of_it_was_gone_a_moment_before) {
    sim::lifetimes::opened first = lifetimes.open_again(memfd.get(), O_RDWR);
    const sim::lifetimes::opened second = lifetimes.open_again(memfd.get(), O_RDWR);
    first.file.reset(); // the two events have become one
    EXPECT_EQ(lifetimes.gone(), ids{first.id});
    let_go_of_the_lock(second);
    EXPECT_EQ(lifetimes.gone(), ids{second.id});
}

TEST_F(watched_file, lives_though_another_open_of_it_is_gone) {
    sim::lifetimes::opened first = lifetimes.open_again(memfd.get(), O_RDWR);
    const sim::lifetimes::opened second = lifetimes.open_again(memfd.get(), O_RDWR);
    first.file.reset();
    EXPECT_EQ(lifetimes.gone(), ids{first.id});
    EXPECT_EQ(lifetimes.gone(), ids{});
    EXPECT_EQ(lifetimes.gone_for_sure(), ids{});
}

/// The caller was killed: its call waits no longer.
class nobody final : public sim::listener {
  public:
    nobody() : listener{kernel::open("/dev/null", O_RDWR)} {}
    [[nodiscard]] bool waits(std::uint64_t) const noexcept override { return false; }
};

struct killed_in_its_call : testing::Test {
    killed_in_its_call() {
        chosen.model = &sim::find_board("pi4");
        all = std::make_unique<sim::simulation>(chosen, std::make_unique<nobody>(), scratch.path() + "/root");
        asked.who = sim::target{::getpid()};
    }
    ~killed_in_its_call() override { ::munmap(page, kernel::page_size()); }
    killed_in_its_call(const killed_in_its_call&) = delete;
    killed_in_its_call& operator=(const killed_in_its_call&) = delete;

    /// A struct that could be read, and cannot be written.
    template <typename Struct>
    void call(const Struct& argument, std::uint32_t number) {
        *static_cast<Struct*>(page) = argument;
        ASSERT_EQ(::mprotect(page, kernel::page_size(), PROT_READ), 0);
        asked.arguments[1] = number;
        asked.arguments[2] = reinterpret_cast<std::uintptr_t>(page);
        (void)sim::vcsm_cma_ioctl(*all, asked);
    }

    sim::scratch_directory scratch;
    sim::options chosen;
    std::unique_ptr<sim::simulation> all;
    sim::request asked;
    void* page = ::mmap(nullptr, kernel::page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
};

TEST_F(killed_in_its_call, a_program_leaves_no_block) {
    kernel::vcsm_cma::alloc argument{};
    argument.size = 4096;
    argument.num = 1;
    call(argument, kernel::vcsm_cma::mem_alloc);
    EXPECT_TRUE(all->memory->list().empty());
    EXPECT_EQ(all->memory->room().free, all->memory->room().total);
    EXPECT_TRUE(all->report.leaks.empty());
}

TEST_F(killed_in_its_call, a_program_is_not_said_to_have_crashed_the_kernel) {
    kernel::vcsm_cma::import_dmabuf argument{};
    argument.dmabuf_fd = -1; // as a process has no descriptors that is no more
    call(argument, kernel::vcsm_cma::mem_import_dmabuf);
    EXPECT_TRUE(all->report.kernel_crashes.empty());
}

} // namespace
