// Defects that the harness found, each by its name, so that they stay mended whatever becomes of the scenarios.
#include "faults/failing_calls.hpp"
#include "faults/failing_new.hpp"
#include "kernel/syscalls.hpp"
#include "videocore/heap.hpp"

#include <vcsm/vcsm.hpp>

#include <cerrno>
#include <functional>
#include <new>
#include <vector>

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

namespace {

using vcsm::shared_memory;

/// Calls step() with the first operator new throwing, then the second, and so on until it needs no more.
void for_each_new(const std::function<void()>& before, const std::function<void()>& step,
                  const std::function<void(bool done)>& after) {
    bool struck = true;
    for (std::uint64_t number = 1; struck; ++number) {
        before();
        bool done = false;
        {
            const faults::news_watched watched{number};
            try {
                step();
                done = true;
            } catch (const std::bad_alloc&) {
            }
            struck = faults::news_watched::failed();
        }
        after(done);
    }
}

/// The kernel, but the calls of one kind fail for as long as it is told so.
class refusing final : public vcsm::kernel::calls {
  public:
    int mmap_fails_with = 0;
    int mmap_fails_times = 1000;
    int fallocate_fails_with = 0;

    void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) override {
        if (mmap_fails_with != 0 && mmap_fails_times-- > 0) {
            errno = mmap_fails_with;
            return MAP_FAILED;
        }
        return calls::mmap(address, bytes, protection, flags, descriptor, offset);
    }
    int fallocate(int descriptor, int mode, off_t offset, off_t bytes) override {
        if (fallocate_fails_with != 0) {
            errno = fallocate_fails_with;
            return -1;
        }
        return calls::fallocate(descriptor, mode, offset, bytes);
    }
};

class mended : public testing::Test {
  protected:
    mended() { vcsm::videocore::reset(); }
    ~mended() override { vcsm::videocore::reset(); }

    static std::vector<char> shown_by(int descriptor, std::size_t bytes) {
        std::vector<char> got(bytes);
        EXPECT_EQ(::pread(descriptor, got.data(), bytes, 0), static_cast<ssize_t>(bytes));
        return got;
    }

    refusing kernel_;
    vcsm::kernel::scoped_calls in_force_{kernel_};
    const std::vector<char> data_ = std::vector<char>(8192, 'd');
};

TEST_F(mended, a_start_that_fails_for_want_of_memory_leaves_the_service_stopped) {
    for_each_new([] { vcsm::videocore::reset(); }, [] { vcsm::start_service(); },
                 [](bool done) { EXPECT_EQ(vcsm::service_running(), done); });
}

TEST_F(mended, stopping_the_service_needs_no_memory) {
    std::vector<shared_memory> blocks;
    for (int i = 0; i < 100; ++i) {
        blocks.emplace_back(std::size_t{1}, "live");
    }
    {
        const faults::news_watched watched{1};
        vcsm::stop_service();
    }
    EXPECT_TRUE(vcsm::blocks().empty());
    for (const shared_memory& block : blocks) {
        EXPECT_FALSE(block);
    }
    EXPECT_TRUE(vcsm::videocore::list().empty());
}

TEST_F(mended, memory_is_in_one_piece_again_when_an_aligned_allocation_fails) {
    std::optional<vcsm::videocore::heap> memory;
    for_each_new(
        [&] {
            memory.emplace(std::size_t{1} << 24, 4096);
            (void)memory->take(4096); // so that the next has to leave a gap before itself
        },
        [&] { (void)memory->take(4096, 1 << 20); },
        [&](bool done) {
            EXPECT_EQ(memory->largest_free(), done ? (std::size_t{15} << 20) - 4096 : (std::size_t{1} << 24) - 4096);
        });
}

TEST_F(mended, an_export_keeps_its_bytes_when_its_block_is_freed_and_nothing_can_be_mapped) {
    shared_memory block{data_.size(), "exported"};
    block.copy_from(data_);
    const vcsm::kernel::unique_fd exported{block.export_dmabuf()};
    kernel_.mmap_fails_with = ENOMEM;
    block.close();
    EXPECT_EQ(shown_by(exported.get(), data_.size()), data_);

    // Its range is not given to anybody while it shows the export.
    EXPECT_THROW((shared_memory{data_.size(), "next"}), vcsm::out_of_memory);
    kernel_.mmap_fails_with = 0;
    shared_memory next{data_.size(), "next"};
    EXPECT_EQ(next.to_vector<char>(), std::vector<char>(data_.size()));
    next.copy_from(std::vector<char>(data_.size(), 'n'));
    EXPECT_EQ(shown_by(exported.get(), data_.size()), data_);
}

TEST_F(mended, exporting_loses_nothing_when_pages_cannot_be_given_back) {
    shared_memory block{data_.size(), "exported"};
    block.copy_from(data_);
    kernel_.fallocate_fails_with = EOPNOTSUPP;
    const vcsm::kernel::unique_fd exported{block.export_dmabuf()};
    EXPECT_EQ(block.to_vector<char>(), data_);
    EXPECT_EQ(shown_by(exported.get(), data_.size()), data_);
    block.close();
    const shared_memory next{data_.size(), "next"};
    EXPECT_EQ(next.to_vector<char>(), std::vector<char>(data_.size())) << "new memory is not zero";
}

TEST_F(mended, an_export_that_a_signal_interrupts_is_repeated) {
    shared_memory block{data_.size(), "exported"};
    block.copy_from(data_);
    kernel_.mmap_fails_with = EINTR;
    kernel_.mmap_fails_times = 3;
    const vcsm::kernel::unique_fd exported{block.export_dmabuf()};
    EXPECT_EQ(shown_by(exported.get(), data_.size()), data_);
}

// Under "/proc/self/fd/100", which is too long for a std::string to keep within itself.
TEST_F(mended, an_import_does_not_end_the_program_for_want_of_memory) {
    shared_memory block{data_.size(), "own"};
    const vcsm::kernel::unique_fd own{::fcntl(block.dmabuf(), F_DUPFD_CLOEXEC, 100)};
    for_each_new([] {}, [&] { (void)shared_memory::from_dmabuf(own.get(), "again"); },
                 [](bool) { EXPECT_EQ(vcsm::blocks().size(), 1U); });
}

} // namespace
