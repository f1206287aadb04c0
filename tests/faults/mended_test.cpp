// Defects that the harness found, each by its name, so that they stay mended whatever becomes of the scenarios.
#include "address_index.hpp"
#include "faults/failing_calls.hpp"
#include "faults/failing_new.hpp"
#include "kernel/syscalls.hpp"
#include "service.hpp"
#include "videocore/heap.hpp"

#include <vcsm/vcsm.hpp>

#include <cerrno>
#include <cstdlib>
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

TEST_F(mended, a_pool_block_is_found_by_its_address_whatever_resizing_had_no_memory_for) {
    auto& handles = vcsm::detail::service::instance().handles();
    for (const bool whole_blocks : {false, true}) {
        vcsm::pool_options options;
        options.whole_blocks = whole_blocks;
        vcsm::pool frames{std::size_t{12} << 20, "frames", options};
        const shared_memory in_the_way = frames.allocate(100);
        shared_memory block;
        for (const auto& [from, to] : std::vector<std::pair<std::size_t, std::size_t>>{
                 {5000, 4096}, {4096, 5000}, {100, 70000}, {70000, 100}, {5U << 20U, 3000000}, {3000000, 5U << 20U}}) {
            for_each_new(
                [&, from = from] {
                    block = shared_memory{};
                    (void)frames.trim();
                    block = frames.allocate(from);
                    (void)block.handle();
                },
                [&, to = to] { block.resize(to); },
                [&, from = from, to = to](bool done) {
                    EXPECT_EQ(block.size(), done ? to : from);
                    const std::byte* const first = handles.address_of(block.handle());
                    for (std::size_t at = 0; at < block.size(); at += 4096) {
                        ASSERT_EQ(handles.handle_at(first + at), block.handle()) << at << " of " << from;
                    }
                    ASSERT_EQ(handles.handle_at(first + block.size() - 1), block.handle());
                });
        }
        block.close();
    }
}

// It once kept a table for every 32 chunks of 2 MiB that a block had ever been in.
TEST_F(mended, the_index_of_addresses_does_not_grow_with_the_places_where_blocks_were) {
    constexpr std::size_t chunk = std::size_t{1} << 21;
    vcsm::detail::address_index index;
    // As many as 32 bits of addresses have room for.
    constexpr std::size_t rounds = sizeof(void*) == 8 ? 10000 : 1000;
    const auto* const start = reinterpret_cast<const std::byte*>(std::uintptr_t{1} << 30);
    std::int64_t after_first = 0;
    for (std::size_t round = 0; round < rounds; ++round) {
        const std::byte* const place = start + round * chunk;
        index.put(place, 12288, 7);
        index.put(place + 2 * chunk, chunk, 8);
        EXPECT_EQ(index.find(place + 12287), 7U);
        EXPECT_EQ(index.find(place + 2 * chunk), 8U);
        index.remove(place, 12288);
        index.remove(place + 2 * chunk, chunk);
        EXPECT_EQ(index.find(place), 0U);
        if (round == 200) {
            after_first = faults::living_pieces();
        }
    }
    EXPECT_EQ(faults::living_pieces(), after_first);
}

TEST_F(mended, videocores_reading_is_repeated_when_it_is_interrupted) {
    ::setenv("VCSM_SIM_FAULTS", "read@1-3=EINTR,read@4=EAGAIN", 1);
    vcsm::videocore::reset();
    shared_memory block{data_.size(), "read"};
    block.copy_from(data_);
    std::vector<char> got(data_.size());
    vcsm::videocore::read(block.videocore_handle(), 0, std::as_writable_bytes(std::span{got}));
    EXPECT_EQ(got, data_);
    ::unsetenv("VCSM_SIM_FAULTS");
}

TEST_F(mended, an_import_of_an_own_block_asks_for_no_more_bytes_than_it_has) {
    shared_memory block{data_.size(), "own"};
    const vcsm::kernel::unique_fd own{block.export_dmabuf()};
    EXPECT_EQ(shared_memory::from_dmabuf(own.get(), "again", data_.size()).size(), data_.size());
    EXPECT_THROW((void)shared_memory::from_dmabuf(own.get(), "more", data_.size() + 1), std::length_error);
    vcsm::pool frames{65536, "frames"};
    const shared_memory part = frames.allocate(8192);
    EXPECT_THROW((void)shared_memory::from_dmabuf(part.dmabuf_location().descriptor, "more", std::size_t{1} << 30),
                 std::length_error);
    EXPECT_EQ(vcsm::blocks().size(), 1U) << "a refused import left a handle";
}

} // namespace
