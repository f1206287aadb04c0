#include "child.hpp"
#include "core/fresh.hpp"

#include <vcsm/pool.hpp>

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <latch>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using testing::HasSubstr;
using vcsm::pool;
using vcsm::shared_memory;
using vcsm_tests::pattern;

constexpr std::size_t cache_line = 64;
constexpr std::size_t mebibyte = std::size_t{1} << 20;

std::size_t page() {
    return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::vector<std::byte> seen_by_videocore(const shared_memory& block) {
    std::vector<std::byte> seen(block.size());
    const auto [handle, offset] = block.location();
    vcsm::videocore::read(handle, offset, seen);
    return seen;
}

class a_pool : public vcsm_tests::fresh_videocore {};

TEST_F(a_pool, gives_blocks_that_videocore_sees_where_location_says) {
    pool frames{mebibyte, "frames"};
    std::vector<shared_memory> blocks;
    for (unsigned i = 0; i < 20; ++i) {
        blocks.push_back(frames.allocate(1000 + i));
        blocks.back().copy_from(pattern(1000 + i, i));
    }
    std::set<std::uint32_t> handles;
    for (unsigned i = 0; i < 20; ++i) {
        EXPECT_EQ(seen_by_videocore(blocks[i]), pattern(1000 + i, i));
        EXPECT_EQ(blocks[i].to_vector(), pattern(1000 + i, i));
        EXPECT_EQ(blocks[i].name(), "frames");
        handles.insert(blocks[i].location().videocore_handle);
    }
    EXPECT_EQ(handles.size(), 1U) << "all lie in one of the driver's allocations";
    EXPECT_EQ(vcsm::videocore::list().size(), 1U);
}

TEST_F(a_pool, tells_how_it_was_made) {
    vcsm::pool_options options;
    options.cache = vcsm::cache_mode::host;
    options.limit = 4 * mebibyte;
    const pool frames{mebibyte, "frames", options};
    EXPECT_EQ(frames.name(), "frames");
    EXPECT_EQ(frames.options().cache, vcsm::cache_mode::host);
    EXPECT_EQ(frames.options().limit, 4 * mebibyte);
    EXPECT_FALSE(frames.options().zero);
}

TEST_F(a_pool, gives_bus_addresses_that_agree_with_the_location) {
    pool frames{mebibyte};
    const shared_memory first = frames.allocate(5000);
    const shared_memory second = frames.allocate(5000);
    EXPECT_NE(first.bus_address(), second.bus_address());
    EXPECT_EQ(first.bus_address() - first.location().offset, second.bus_address() - second.location().offset);
    EXPECT_EQ(first.dmabuf_location().descriptor, second.dmabuf_location().descriptor);
    EXPECT_EQ(first.dmabuf_location().offset, first.location().offset);
    EXPECT_EQ(second.dmabuf_location().offset, second.location().offset);
}

TEST_F(a_pool, refuses_the_bare_handle_of_a_block_that_does_not_start_its_allocation) {
    pool frames{mebibyte};
    const shared_memory one = frames.allocate(64);
    const shared_memory two = frames.allocate(64);
    const shared_memory& first = one.location().offset == 0 ? one : two;
    const shared_memory& other = one.location().offset == 0 ? two : one;
    EXPECT_EQ(first.location().offset, 0U);
    EXPECT_EQ(first.videocore_handle(), other.location().videocore_handle);
    try {
        (void)other.videocore_handle();
        FAIL() << "its user would read its neighbour";
    } catch (const vcsm::not_supported& refused) {
        EXPECT_THAT(refused.what(), HasSubstr("location()"));
    }
    EXPECT_THROW((void)other.dmabuf(), vcsm::not_supported);
    EXPECT_THROW((void)other.export_dmabuf(), vcsm::not_supported);
}

TEST_F(a_pool, never_puts_two_blocks_into_one_cache_line) {
    pool small{mebibyte, "small", {.cache = vcsm::cache_mode::host}};
    std::vector<shared_memory> blocks;
    for (int i = 0; i < 100; ++i) {
        blocks.push_back(small.allocate(1 + static_cast<std::size_t>(i)));
        EXPECT_EQ(blocks.back().bus_address() % cache_line, 0U);
    }
    // VideoCore writes into one while the CPU writes its neighbours.
    for (std::size_t i = 0; i + 1 < blocks.size(); ++i) {
        auto cpu = blocks[i].lock(vcsm::access::write);
        const auto [handle, offset] = blocks[i + 1].location();
        vcsm::videocore::write(handle, offset, pattern(blocks[i + 1].size(), 7));
        std::fill(cpu.begin(), cpu.end(), std::byte{1});
        cpu.unlock();
        EXPECT_EQ(blocks[i + 1].to_vector(), pattern(blocks[i + 1].size(), 7));
    }
}

TEST_F(a_pool, lets_a_lock_that_promises_to_write_all_promise_only_its_own_block) {
    pool cached{mebibyte, "cached", {.cache = vcsm::cache_mode::host}};
    shared_memory mine = cached.allocate(4096);
    shared_memory neighbour = cached.allocate(4096);
    (void)neighbour.to_vector(); // the CPU has cached its old bytes
    const auto [handle, offset] = neighbour.location();
    vcsm::videocore::write(handle, offset, pattern(4096, 3));
    auto mine_alone = mine.lock(vcsm::access::overwrite);
    EXPECT_EQ(neighbour.to_vector(), pattern(4096, 3)) << "read while the other is being overwritten";
}

TEST_F(a_pool, aligns_as_asked_up_to_and_above_the_page) {
    pool frames{4 * mebibyte};
    std::vector<shared_memory> blocks;
    for (const std::size_t alignment : {1UL, 128UL, 1024UL, 4096UL, 65536UL, 1048576UL, 4096UL, 64UL}) {
        for (const std::size_t size : {1UL, 100UL, 5000UL}) {
            blocks.push_back(frames.allocate(size, alignment));
            EXPECT_EQ(blocks.back().bus_address() % alignment, 0U) << alignment;
        }
    }
    const pool aligned{mebibyte, "aligned", {.alignment = 8192}};
    EXPECT_EQ(pool(mebibyte, "aligned", {.alignment = 8192}).allocate(1).bus_address() % 8192, 0U);
    for (const std::size_t wrong : {0UL, 3UL, 96UL}) {
        EXPECT_THROW((void)frames.allocate(10, wrong), std::invalid_argument);
        EXPECT_THROW((pool{mebibyte, "wrong", {.alignment = wrong}}), std::invalid_argument);
    }
}

TEST_F(a_pool, makes_room_for_an_alignment_that_its_allocation_has_not) {
    pool small{page(), "small"};
    const shared_memory first = small.allocate(page());
    const shared_memory block = small.allocate(page(), mebibyte);
    EXPECT_EQ(block.bus_address() % mebibyte, 0U);
}

TEST_F(a_pool, uses_the_memory_of_a_destroyed_block_again) {
    for (const std::size_t size : {64UL, 4096UL, 65536UL, 300000UL}) {
        pool frames{mebibyte, "frames", {.limit = mebibyte}};
        std::set<std::uint64_t> addresses;
        for (int i = 0; i < 1000; ++i) {
            addresses.insert(frames.allocate(size).bus_address());
        }
        EXPECT_LE(addresses.size(), 2U);
        EXPECT_EQ(frames.statistics().blocks, 0U);
        EXPECT_EQ(frames.statistics().largest_free, mebibyte) << "what was free beside it is one piece again";
    }
}

TEST_F(a_pool, can_be_used_up_to_its_last_byte) {
    pool frames{16 * page(), "frames", {.limit = 16 * page()}};
    std::vector<shared_memory> blocks;
    for (int i = 0; i < 16; ++i) {
        blocks.push_back(frames.allocate(page(), page()));
    }
    EXPECT_EQ(frames.statistics().free, 0U);
    EXPECT_THROW((void)frames.allocate(1), vcsm::out_of_memory);
    blocks.clear();
    EXPECT_EQ(frames.allocate(16 * page()).size(), 16 * page());
    EXPECT_EQ(frames.allocate(15 * page() + 1).size(), 15 * page() + 1);
}

TEST_F(a_pool, does_not_give_the_memory_of_a_block_that_is_still_locked) {
    pool frames{mebibyte, "frames", {.limit = mebibyte}};
    shared_memory block = frames.allocate(4096);
    const std::uint64_t address = block.bus_address();
    auto view = block.lock(vcsm::access::write);
    block.close();
    const shared_memory other = frames.allocate(4096);
    EXPECT_NE(other.bus_address(), address);
    EXPECT_EQ(frames.statistics().blocks, 2U) << "one of them without an object";
    std::fill(view.begin(), view.end(), std::byte{9});
    view.unlock();
    EXPECT_EQ(frames.statistics().blocks, 1U);
    EXPECT_EQ(frames.allocate(4096).bus_address(), address);
}

TEST_F(a_pool, keeps_a_shared_block_until_the_last_object) {
    pool frames{mebibyte, "frames"};
    shared_memory block = frames.allocate(4096);
    shared_memory second = block.share();
    const std::uint64_t address = block.bus_address();
    EXPECT_NE(block.handle(), second.handle());
    block.copy_from(pattern(4096));
    block.close();
    EXPECT_EQ(second.to_vector(), pattern(4096));
    EXPECT_NE(frames.allocate(4096).bus_address(), address);
    second.close();
    EXPECT_EQ(frames.statistics().blocks, 0U);
}

TEST_F(a_pool, gives_blocks_a_handle_when_they_are_asked_for_it) {
    pool frames{mebibyte, "frames"};
    shared_memory block = frames.allocate(100);
    EXPECT_TRUE(vcsm::blocks().empty());
    const std::uint32_t handle = block.handle();
    EXPECT_GT(handle, 0U);
    EXPECT_EQ(block.handle(), handle);
    ASSERT_EQ(vcsm::blocks().size(), 1U);
    EXPECT_EQ(vcsm::blocks()[0].handle, handle);
    EXPECT_EQ(vcsm::blocks()[0].size, 100U);
    EXPECT_LT(vcsm::blocks()[0].capacity, mebibyte) << "its own bytes, not the pool's";
    block.close();
    EXPECT_TRUE(vcsm::blocks().empty());
    EXPECT_NE(frames.allocate(100).handle(), handle) << "handles are not reused";
}

TEST_F(a_pool, grows_and_gives_back_what_is_empty_when_trimmed) {
    pool frames{mebibyte, "frames", {.grow_by = 2 * mebibyte}};
    std::vector<shared_memory> blocks;
    for (int i = 0; i < 6; ++i) {
        blocks.push_back(frames.allocate(mebibyte / 2));
    }
    EXPECT_EQ(frames.statistics().capacity, 3 * mebibyte);
    EXPECT_EQ(frames.statistics().allocations, 2U);
    blocks.resize(1);
    EXPECT_EQ(frames.statistics().capacity, 3 * mebibyte) << "kept unless told otherwise";
    EXPECT_EQ(frames.trim(), 2 * mebibyte);
    EXPECT_EQ(vcsm::videocore::list().size(), 1U);
    blocks.clear();
    EXPECT_EQ(frames.trim(), mebibyte);
    EXPECT_TRUE(vcsm::videocore::list().empty());
    EXPECT_EQ(frames.allocate(3 * mebibyte).size(), 3 * mebibyte) << "and grows again, by more where it must";
}

TEST_F(a_pool, keeps_no_more_empty_allocations_than_it_was_told) {
    pool frames{mebibyte, "frames", {.grow_by = mebibyte, .keep = mebibyte}};
    {
        std::vector<shared_memory> blocks;
        for (int i = 0; i < 5; ++i) {
            blocks.push_back(frames.allocate(mebibyte));
        }
        EXPECT_EQ(frames.statistics().allocations, 5U);
    }
    EXPECT_EQ(frames.statistics().allocations, 1U);
    EXPECT_EQ(vcsm::videocore::list().size(), 1U);
}

TEST_F(a_pool, stays_as_it_was_when_it_cannot_grow) {
    start({}, "4M");
    pool frames{mebibyte, "frames"};
    const shared_memory first = frames.allocate(mebibyte / 2);
    const vcsm::pool_statistics before = frames.statistics();
    EXPECT_THROW((void)frames.allocate(4 * mebibyte), vcsm::out_of_memory);
    EXPECT_EQ(frames.statistics().used, before.used);
    EXPECT_EQ(frames.statistics().capacity, before.capacity);
    EXPECT_EQ(frames.statistics().blocks, 1U);
    EXPECT_EQ(frames.allocate(mebibyte / 2).size(), mebibyte / 2);
    EXPECT_EQ(frames.allocate(5 * mebibyte / 2).size(), 5 * mebibyte / 2) << "by just what is needed, where less is "
                                                                             "left than it likes to grow by";
}

TEST_F(a_pool, gives_up_what_is_empty_for_a_block_that_does_not_fit_beside_it) {
    start({}, "4M");
    pool frames{3 * mebibyte, "frames"};
    // No whole number of pages, and therefore less than what is asked of the device first.
    const shared_memory large = frames.allocate(3 * mebibyte + 100);
    EXPECT_EQ(large.size(), 3 * mebibyte + 100);
    EXPECT_EQ(frames.statistics().allocations, 1U);
}

TEST_F(a_pool, has_a_limit_that_it_says) {
    pool frames{mebibyte, "frames", {.limit = mebibyte}};
    const shared_memory first = frames.allocate(mebibyte - 4096);
    try {
        (void)frames.allocate(8192);
        FAIL();
    } catch (const vcsm::out_of_memory& refused) {
        EXPECT_THAT(refused.what(), testing::AllOf(HasSubstr("8192"), HasSubstr("1048576"), HasSubstr("4096")));
    }
    EXPECT_EQ(frames.allocate(4096).size(), 4096U);
}

TEST_F(a_pool, refuses_what_makes_no_sense) {
    EXPECT_THROW(pool{0}, std::invalid_argument);
    EXPECT_THROW(pool{SIZE_MAX}, std::length_error);
    EXPECT_THROW(pool{400 * mebibyte}, vcsm::out_of_memory);
    EXPECT_TRUE(vcsm::videocore::list().empty());
    pool frames{mebibyte};
    EXPECT_THROW((void)frames.allocate(0), std::invalid_argument);
    EXPECT_THROW((void)frames.allocate(SIZE_MAX), std::length_error);
    EXPECT_THROW((void)frames.allocate(1, std::size_t{1} << (sizeof(std::size_t) * 8 - 1)), std::length_error);
    pool empty;
    EXPECT_FALSE(empty);
    EXPECT_THROW((void)empty.allocate(1), vcsm::no_block);
    EXPECT_THROW((void)empty.statistics(), vcsm::no_block);
    pool moved = std::move(frames);
    EXPECT_TRUE(moved);
    EXPECT_THROW((void)frames.allocate(1), vcsm::no_block); // NOLINT(bugprone-use-after-move): what is tested
}

TEST_F(a_pool, leaves_its_memory_to_its_last_block) {
    shared_memory left;
    {
        pool frames{mebibyte, "frames"};
        const shared_memory gone = frames.allocate(4096);
        left = frames.allocate(4096);
        left.copy_from(pattern(4096));
    }
    EXPECT_EQ(left.to_vector(), pattern(4096));
    EXPECT_EQ(seen_by_videocore(left), pattern(4096));
    EXPECT_GT(left.handle(), 0U);
    left.close();
    left.close();
    EXPECT_TRUE(vcsm::videocore::list().empty());
}

TEST_F(a_pool, counts_what_is_in_it) {
    pool frames{mebibyte, "frames", {.limit = mebibyte}};
    EXPECT_EQ(frames.statistics().free, mebibyte);
    EXPECT_EQ(frames.statistics().fragmentation(), 0.0);
    std::vector<shared_memory> blocks;
    for (int i = 0; i < 8; ++i) {
        blocks.push_back(frames.allocate(mebibyte / 8));
    }
    for (std::size_t i = 0; i < 8; i += 2) {
        blocks[i].close();
    }
    const vcsm::pool_statistics now = frames.statistics();
    EXPECT_EQ(now.blocks, 4U);
    EXPECT_EQ(now.used, mebibyte / 2);
    EXPECT_EQ(now.free, mebibyte / 2);
    EXPECT_EQ(now.largest_free, mebibyte / 8);
    EXPECT_EQ(now.peak, mebibyte);
    EXPECT_EQ(now.capacity, mebibyte);
    EXPECT_EQ(now.allocations, 1U);
    EXPECT_DOUBLE_EQ(now.fragmentation(), 0.75);
}

TEST_F(a_pool, zeroes_what_is_used_again_if_asked) {
    for (const bool whole : {false, true}) {
        for (const vcsm::cache_mode cache : {vcsm::cache_mode::none, vcsm::cache_mode::host}) {
            pool frames{mebibyte, "frames", {.cache = cache, .whole_blocks = whole, .zero = true}};
            for (int i = 0; i < 3; ++i) {
                shared_memory block = frames.allocate(5000);
                EXPECT_EQ(block.to_vector(), std::vector<std::byte>(5000));
                EXPECT_EQ(seen_by_videocore(block), std::vector<std::byte>(5000));
                block.copy_from(pattern(5000, 1));
            }
        }
    }
}

TEST_F(a_pool, resizes_a_block_within_itself) {
    pool frames{mebibyte, "frames"};
    shared_memory block = frames.allocate(100);
    const std::uint32_t handle = block.handle();
    block.copy_from(pattern(100));
    std::vector<std::byte> expected = pattern(100);
    for (const std::size_t size : {120UL, 5000UL, 60UL, 200000UL, 3000000UL, 10UL}) {
        block.resize(size);
        expected.resize(size);
        EXPECT_EQ(block.to_vector(), expected) << size;
        EXPECT_EQ(seen_by_videocore(block), expected) << size;
    }
    EXPECT_EQ(block.handle(), handle);
    EXPECT_EQ(frames.statistics().blocks, 1U);
    shared_memory neighbour = frames.allocate(64);
    shared_memory small = frames.allocate(64);
    {
        const auto view = neighbour.lock(vcsm::access::read);
        EXPECT_THROW(small.resize(mebibyte), vcsm::error);
        EXPECT_EQ(small.size(), 64U);
    }
    EXPECT_THROW(small.resize(0), std::invalid_argument);
    block.close();
    neighbour.close();
    small.close();
    EXPECT_EQ(frames.statistics().used, 0U);
}

TEST_F(a_pool, is_known_when_its_exported_memory_is_imported) {
    pool frames{mebibyte, "frames"};
    shared_memory block = frames.allocate(4096);
    shared_memory other = frames.allocate(4096);
    other.copy_from(pattern(4096, 5));
    {
        const shared_memory whole = shared_memory::from_dmabuf(other.dmabuf_location().descriptor);
        EXPECT_EQ(whole.size(), mebibyte);
        EXPECT_EQ(whole.videocore_handle(), other.location().videocore_handle) << "no second block of VideoCore's";
        std::vector<std::byte> seen(4096);
        whole.copy_to(seen, other.location().offset);
        EXPECT_EQ(seen, pattern(4096, 5));
        block.close();
        other.close();
        EXPECT_EQ(frames.trim(), 0U) << "somebody looks at it";
    }
    EXPECT_EQ(frames.trim(), mebibyte);
}

TEST_F(a_pool, ends_with_the_service_and_says_so) {
    for (const bool whole : {false, true}) {
        pool frames{mebibyte, "frames", {.whole_blocks = whole}};
        shared_memory block = frames.allocate(100);
        const shared_memory named = frames.allocate(100);
        (void)named.handle();
        const shared_memory kept = frames.allocate(100);
        vcsm::stop_service();
        EXPECT_FALSE(frames);
        EXPECT_FALSE(block);
        EXPECT_THROW((void)block.size(), vcsm::no_block);
        EXPECT_THROW((void)named.to_vector(), vcsm::no_block);
        try {
            (void)frames.allocate(100);
            FAIL();
        } catch (const vcsm::no_block& gone) {
            EXPECT_THAT(gone.what(), testing::AllOf(HasSubstr("frames"), HasSubstr("stopped")));
        }
        vcsm::start_service();
        EXPECT_TRUE(vcsm::videocore::list().empty());
        EXPECT_THROW((void)block.size(), vcsm::no_block) << "also when it runs again";
        pool again{mebibyte, "again"};
        EXPECT_EQ(again.allocate(10).size(), 10U);
    }
}

TEST_F(a_pool, keeps_the_device_from_being_switched) {
    pool frames{mebibyte, "frames"};
    try {
        vcsm::use("udmabuf");
        FAIL();
    } catch (const vcsm::error& refused) {
        EXPECT_EQ(refused.code().value(), EBUSY);
    }
}

TEST_F(a_pool, serves_more_threads_at_once_than_it_has_shards_or_numbers_for) {
    pool frames{mebibyte, "frames"};
    constexpr std::size_t count = 80;
    std::latch all_have_one{count};
    std::array<bool, count> right{};
    std::vector<std::thread> threads;
    threads.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        threads.emplace_back([&, i] {
            shared_memory own = frames.allocate(1000);
            own.copy_from(pattern(1000, static_cast<unsigned>(i)));
            all_have_one.arrive_and_wait();
            right[i] = own.to_vector() == pattern(1000, static_cast<unsigned>(i));
        });
    }
    for (std::thread& each : threads) {
        each.join();
    }
    EXPECT_EQ(std::count(right.begin(), right.end(), true), static_cast<std::ptrdiff_t>(count));
    EXPECT_EQ(frames.statistics().blocks, 0U);
}

TEST_F(a_pool, belongs_to_the_process_that_made_it) {
    pool frames{mebibyte, "frames"};
    auto block = std::make_unique<shared_memory>(frames.allocate(100));
    (void)frames.allocate(100); // one is kept at hand
    std::atomic<bool> stop{false};
    std::thread busy; // so that the child finds locks in any state
    if (vcsm_tests::threads_may_allocate_over_a_fork) {
        busy = std::thread{[&] {
            while (!stop) {
                (void)frames.allocate(4096);
                (void)frames.allocate(100000);
            }
        }};
    }
    for (int round = 0; round < 30; ++round) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(20);
            if (!vcsm_tests::children_may_use_what_threads_share) {
                ::_exit(0); // that the child gets here is what is left of the promise
            }
            int wrong = 0;
            const auto says = [&](auto&& use) {
                try {
                    use();
                    ++wrong;
                } catch (const vcsm::no_block& refused) {
                    wrong += std::string{refused.what()}.find("process") == std::string::npos ? 1 : 0;
                }
            };
            says([&] { (void)frames.allocate(100); });
            says([&] { (void)frames.statistics(); });
            says([&] { (void)frames.trim(); });
            says([&] { (void)block->size(); });
            says([&] { (void)block->lock(vcsm::access::read); });
            block.reset();
            frames = pool{};
            pool own{4096, "own"};
            wrong += own.allocate(100).location().offset == 0 ? 0 : 1;
            ::_exit(wrong);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
        ASSERT_EQ(WEXITSTATUS(status), 0) << "things went wrong in the child";
    }
    stop = true;
    if (busy.joinable()) {
        busy.join();
    }
    block->copy_from(pattern(100));
    EXPECT_EQ(seen_by_videocore(*block), pattern(100)) << "the parent's is as it was";
}

TEST_F(a_pool, leaves_locked_memory_mapped_when_the_service_stops) {
    pool frames{mebibyte, "frames"};
    shared_memory block = frames.allocate(100);
    auto view = block.lock(vcsm::access::write);
    vcsm::stop_service();
    std::fill(view.begin(), view.end(), std::byte{1});
    EXPECT_NO_THROW(view.unlock());
}

TEST_F(a_pool, of_whole_blocks_recycles_allocations_that_need_no_offset) {
    pool frames{4 * mebibyte, "frames", {.whole_blocks = true}};
    EXPECT_TRUE(vcsm::videocore::list().empty()) << "nothing in advance";
    shared_memory one = frames.allocate(100000);
    shared_memory two = frames.allocate(100000);
    EXPECT_NE(one.videocore_handle(), two.videocore_handle());
    EXPECT_EQ(one.location().offset, 0U);
    EXPECT_EQ(two.location().offset, 0U);
    const std::uint32_t handle = one.videocore_handle();
    one.close();
    shared_memory again = frames.allocate(99000);
    EXPECT_EQ(again.videocore_handle(), handle);
    again.copy_from(pattern(99000));
    EXPECT_EQ(seen_by_videocore(again), pattern(99000));
    EXPECT_NE(frames.allocate(10).videocore_handle(), handle);
    again.close();
    two.close();
    EXPECT_EQ(frames.statistics().blocks, 0U);
    EXPECT_GT(frames.trim(), 200000U);
    EXPECT_TRUE(vcsm::videocore::list().empty());
}

TEST_F(a_pool, of_whole_blocks_keeps_no_more_than_it_was_made_for) {
    pool frames{mebibyte, "frames", {.whole_blocks = true}};
    {
        std::vector<shared_memory> blocks;
        for (int i = 0; i < 8; ++i) {
            blocks.push_back(frames.allocate(mebibyte / 2));
        }
    }
    EXPECT_EQ(vcsm::videocore::list().size(), 2U);
    start({}, "2M");
    pool full{2 * mebibyte, "full", {.whole_blocks = true}};
    (void)full.allocate(mebibyte / 2);
    (void)full.allocate(mebibyte);
    EXPECT_EQ(full.allocate(2 * mebibyte).size(), 2 * mebibyte) << "kept blocks make room for one of another size";
}

TEST_F(a_pool, is_used_by_many_threads_at_once) {
    pool frames{mebibyte, "frames", {.grow_by = mebibyte}};
    constexpr int threads = 4;
    std::vector<std::vector<shared_memory>> handed_over(threads);
    {
        std::vector<std::thread> working;
        for (int number = 0; number < threads; ++number) {
            working.emplace_back([&, number] {
                std::vector<shared_memory>& own = handed_over[static_cast<std::size_t>(number)];
                for (std::size_t i = 0; i < 3000; ++i) {
                    own.push_back(frames.allocate(64 + i * 37 % 5000));
                    auto view = own.back().lock(vcsm::access::write);
                    std::fill(view.begin(), view.end(), static_cast<std::byte>(number + 1));
                    view.unlock();
                    if (own.size() > 40) {
                        own.erase(own.begin(), own.begin() + 20);
                    }
                    if (i % 1000 == 0) {
                        (void)frames.statistics();
                    }
                }
            });
        }
        for (std::thread& each : working) {
            each.join();
        }
    }
    std::size_t live = 0;
    for (int number = 0; number < threads; ++number) {
        for (const shared_memory& block : handed_over[static_cast<std::size_t>(number)]) {
            ++live;
            for (const std::byte value : block.lock(vcsm::access::read)) {
                ASSERT_EQ(value, static_cast<std::byte>(number + 1)) << "another thread wrote into it";
            }
        }
    }
    EXPECT_EQ(frames.statistics().blocks, live);
    std::thread{[&] { handed_over.clear(); }}.join();
    EXPECT_EQ(frames.statistics().blocks, 0U);
    EXPECT_EQ(frames.statistics().used, 0U);
    EXPECT_GT(frames.trim(), 0U);
    EXPECT_TRUE(vcsm::videocore::list().empty()) << "every allocation is one free piece again";
}

} // namespace
