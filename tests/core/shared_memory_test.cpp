#include "fresh.hpp"

#include <gmock/gmock.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <type_traits>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using testing::Each;
using testing::HasSubstr;
using vcsm::cache_mode;
using vcsm::shared_memory;
using vcsm_tests::pattern;
using vcsm_tests::seen_by_videocore;

static_assert(std::is_nothrow_move_constructible_v<shared_memory>);
static_assert(std::is_nothrow_move_assignable_v<shared_memory>);
static_assert(!std::is_copy_constructible_v<shared_memory>);
static_assert(std::is_nothrow_destructible_v<shared_memory>);

class a_block : public vcsm_tests::fresh_videocore, public testing::WithParamInterface<cache_mode> {};
INSTANTIATE_TEST_SUITE_P(of_each_cache_mode, a_block,
                         testing::Values(cache_mode::none, cache_mode::host, cache_mode::videocore, cache_mode::both),
                         [](const auto& mode) { return std::string{vcsm::to_string(mode.param)}; });

TEST_P(a_block, is_what_was_asked_for_in_whole_pages_of_zeros) {
    const shared_memory block{5000, "a name", GetParam()};
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    EXPECT_EQ(block.size(), 5000U);
    EXPECT_EQ(block.capacity(), (5000 + page - 1) / page * page);
    EXPECT_EQ(block.name(), "a name");
    EXPECT_EQ(block.device(), "simulated");
    EXPECT_EQ(block.granted_cache(), GetParam());
    EXPECT_THAT(block.to_vector(), Each(std::byte{0}));
    EXPECT_THAT(seen_by_videocore(block, 5000), Each(std::byte{0}));
}

TEST_P(a_block, shows_videocore_what_was_copied_in) {
    shared_memory block{5000, "b", GetParam()};
    block.copy_from(pattern(5000));
    EXPECT_EQ(seen_by_videocore(block, 5000), pattern(5000));
    EXPECT_EQ(block.to_vector(), pattern(5000));
}

TEST_P(a_block, gives_back_what_videocore_wrote) {
    const shared_memory block{5000, "b", GetParam()};
    vcsm::videocore::write(block.videocore_handle(), 10, pattern(4000, 3));
    std::vector<std::byte> out(4000);
    block.copy_to(out, 10);
    EXPECT_EQ(out, pattern(4000, 3));
}

TEST_P(a_block, is_written_and_read_in_parts) {
    shared_memory block{1000, "b", GetParam()};
    block.copy_from(pattern(100), 900);
    block.copy_from(pattern(1, 77), 0);
    const auto seen = seen_by_videocore(block, 1000);
    EXPECT_EQ(seen[0], std::byte{77});
    EXPECT_EQ(std::vector(seen.begin() + 900, seen.end()), pattern(100));
    EXPECT_THAT(std::vector(seen.begin() + 1, seen.begin() + 900), Each(std::byte{0}));
    block.copy_from(std::vector<std::byte>{}, 1000); // nothing, at the very end
}

TEST_P(a_block, keeps_videocores_bytes_in_other_cache_lines_when_a_part_is_written) {
    shared_memory block{1024, "b", GetParam()};
    block.copy_from(pattern(1024));
    vcsm::videocore::write(block.videocore_handle(), 512, pattern(512, 100));
    block.copy_from(pattern(64, 9), 128);
    const auto seen = seen_by_videocore(block, 1024);
    EXPECT_EQ(std::vector(seen.begin() + 128, seen.begin() + 192), pattern(64, 9));
    EXPECT_EQ(std::vector(seen.begin() + 512, seen.end()), pattern(512, 100));
}

TEST_P(a_block, written_whole_is_seen_whole_whatever_videocore_did_meanwhile) {
    shared_memory block{4096, "b", GetParam()};
    block.copy_from(pattern(4096, 5));
    vcsm::videocore::write(block.videocore_handle(), 0, pattern(4096, 7));
    block.copy_from(pattern(4096, 5)); // the very bytes that the CPU's cache holds
    EXPECT_EQ(seen_by_videocore(block, 4096), pattern(4096, 5));
}

TEST_P(a_block, keeps_its_content_when_it_grows_and_what_fits_when_it_shrinks) {
    shared_memory block{3000, "b", GetParam()};
    block.copy_from(pattern(3000));
    const std::uint32_t handle = block.handle();
    block.resize(100000);
    EXPECT_EQ(block.size(), 100000U);
    EXPECT_EQ(block.handle(), handle);
    auto grown = block.to_vector();
    EXPECT_EQ(std::vector(grown.begin(), grown.begin() + 3000), pattern(3000));
    EXPECT_THAT(std::vector(grown.begin() + 3000, grown.end()), Each(std::byte{0}));
    EXPECT_EQ(seen_by_videocore(block, 3000), pattern(3000));
    block.resize(10);
    EXPECT_EQ(block.to_vector(), pattern(10));
    EXPECT_EQ(block.granted_cache(), GetParam());
}

TEST_P(a_block, is_the_same_memory_through_its_dmabuf) {
    shared_memory block{4096, "b", GetParam()};
    block.copy_from(pattern(4096));
    const int exported = block.export_dmabuf();
    EXPECT_EQ(::fcntl(exported, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    void* const mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, exported, 0);
    ASSERT_NE(mapped, MAP_FAILED);
    EXPECT_EQ(std::memcmp(mapped, pattern(4096).data(), 4096), 0);
    block.close();
    EXPECT_EQ(std::memcmp(mapped, pattern(4096).data(), 4096), 0) << "the memory lives until it is let go of";
    ::munmap(mapped, 4096);
    ::close(exported);
}

TEST_P(a_block, imported_into_its_own_process_is_a_second_reference) {
    shared_memory block{5000, "mine", GetParam()};
    const int exported = block.export_dmabuf();
    shared_memory again = shared_memory::from_dmabuf(exported, "again");
    ::close(exported);
    EXPECT_NE(again.handle(), block.handle());
    EXPECT_EQ(again.videocore_handle(), block.videocore_handle());
    EXPECT_EQ(again.size(), 5000U);
    again.copy_from(pattern(5000));
    block.close();
    EXPECT_EQ(seen_by_videocore(again, 5000), pattern(5000));
}

class blocks : public vcsm_tests::fresh_videocore {};

TEST_F(blocks, are_freed_with_their_object) {
    { const shared_memory block{1, "b"}; }
    EXPECT_TRUE(vcsm::blocks().empty());
    EXPECT_TRUE(vcsm::videocore::list().empty());
}

TEST_F(blocks, live_on_in_videocore_while_it_holds_them) {
    std::uint32_t handle = 0;
    {
        shared_memory table{100, "ls_grid"};
        table.copy_from(pattern(100));
        handle = table.videocore_handle();
        vcsm::videocore::hold(handle);
    }
    std::vector<std::byte> seen(100);
    vcsm::videocore::read(handle, 0, seen);
    EXPECT_EQ(seen, pattern(100));
    vcsm::videocore::release(handle);
}

TEST_F(blocks, take_any_contiguous_range_of_trivially_copyable_values) {
    struct cell {
        float gain;
        std::uint16_t x;
        std::uint16_t y;
        bool operator==(const cell&) const = default;
    };
    const std::array<cell, 3> cells{{{1.5F, 1, 2}, {2.5F, 3, 4}, {3.5F, 5, 6}}};
    shared_memory block{sizeof cells, "cells"};
    block.copy_from(cells);
    std::array<cell, 3> out{};
    block.copy_to(out);
    EXPECT_TRUE(out == cells);
    EXPECT_EQ(block.to_vector<cell>()[2].y, 6);
    block.copy_from(std::string_view{"text"});
    EXPECT_EQ(block.to_vector<char>()[3], 't');
    static_assert(!vcsm::detail::contiguous_bytes<std::vector<std::string>>);
}

TEST_F(blocks, may_be_moved_and_what_was_moved_from_says_so) {
    shared_memory first{100, "moved"};
    const std::uint32_t handle = first.handle();
    shared_memory second{std::move(first)};
    EXPECT_EQ(second.handle(), handle);
    EXPECT_FALSE(first); // NOLINT(bugprone-use-after-move): what this test is about
    EXPECT_THROW((void)first.size(), vcsm::no_block);
    EXPECT_THROW((void)first.lock(vcsm::access::read), vcsm::no_block);
    EXPECT_THROW(first.copy_from(pattern(1)), vcsm::no_block);
    EXPECT_THROW(first.resize(5), vcsm::no_block);
    EXPECT_THROW((void)first.videocore_handle(), vcsm::no_block);
    EXPECT_THROW((void)first.export_dmabuf(), vcsm::no_block);
    shared_memory third{5, "other"};
    third = std::move(second);
    EXPECT_EQ(third.handle(), handle);
    EXPECT_EQ(vcsm::blocks().size(), 1U) << "what was assigned to is freed";
    shared_memory& itself = third;
    third = std::move(itself);
    EXPECT_TRUE(third);
}

TEST_F(blocks, are_aligned_as_asked_for_also_when_resized) {
    const shared_memory first{1, "in the way"};
    shared_memory block{5000, "code", {cache_mode::none, 65536}};
    EXPECT_EQ(block.bus_address() % 65536, 0U);
    block.resize(9000);
    EXPECT_EQ(block.bus_address() % 65536, 0U);
}

TEST_F(blocks, refuse_what_makes_no_sense_before_the_device_is_asked) {
    EXPECT_THROW((shared_memory{0, "b"}), std::invalid_argument);
    EXPECT_THROW((shared_memory{1, "b", {cache_mode::none, 3}}), std::invalid_argument);
    EXPECT_THROW((shared_memory{1, "b", {cache_mode::none, 0}}), std::invalid_argument);
    EXPECT_THROW((shared_memory{static_cast<std::size_t>(-1), "b"}), std::length_error);
    EXPECT_THROW((void)shared_memory::from_dmabuf(-1), std::invalid_argument);
}

TEST_F(blocks, say_how_much_room_there_is_when_there_is_none) {
    start("", "64K");
    const shared_memory first{20000, "first"};
    try {
        const shared_memory block{60000, "too large"};
        FAIL();
    } catch (const vcsm::out_of_memory& full) {
        EXPECT_EQ(full.code().value(), ENOMEM);
        EXPECT_THAT(full.what(), testing::AllOf(HasSubstr("\"too large\" of 60000 bytes on simulated"),
                                                HasSubstr("of 65536 bytes are free"), HasSubstr("the largest piece"),
                                                HasSubstr("VCSM_SIM_MEMORY")));
    }
}

TEST_F(blocks, copy_nothing_when_it_does_not_fit) {
    shared_memory block{100, "b"};
    block.copy_from(pattern(100));
    EXPECT_THROW(block.copy_from(pattern(101, 50)), std::length_error);
    EXPECT_THROW(block.copy_from(pattern(10, 50), 91), std::length_error) << "bounded by size, not by capacity";
    EXPECT_THROW(block.copy_from(pattern(1, 50), 101), std::invalid_argument);
    EXPECT_THROW(block.copy_from(pattern(1, 50), static_cast<std::size_t>(-1)), std::invalid_argument);
    EXPECT_EQ(block.to_vector(), pattern(100));
    std::vector<std::byte> out = pattern(101, 9);
    EXPECT_THROW(block.copy_to(out), std::length_error);
    EXPECT_EQ(out, pattern(101, 9));
}

TEST_F(blocks, keep_their_whole_name) {
    const std::string name(10000, 'n');
    const shared_memory block{1, name};
    EXPECT_EQ(block.name(), name);
    EXPECT_EQ(vcsm::blocks().at(0).name, name);
    const shared_memory nameless{1};
    EXPECT_EQ(nameless.name(), "");
}

TEST_F(blocks, that_are_shared_live_until_the_last_object) {
    auto first = std::make_unique<shared_memory>(100, "shared");
    shared_memory second = first->share();
    EXPECT_NE(second.handle(), first->handle());
    first->resize(200);
    EXPECT_EQ(second.size(), 200U) << "resized for all its handles";
    first.reset();
    second.copy_from(pattern(200));
    EXPECT_EQ(seen_by_videocore(second, 200), pattern(200));
}

TEST_F(blocks, stay_as_they_were_when_resizing_fails) {
    start("resize@1=EIO,alloc@2=ENOMEM", "");
    shared_memory block{100, "b"};
    block.copy_from(pattern(100));
    const std::uint32_t handle = block.videocore_handle();
    EXPECT_THROW(block.resize(1000), vcsm::out_of_memory);
    EXPECT_THROW(block.resize(1000), vcsm::error);
    EXPECT_EQ(block.size(), 100U);
    EXPECT_EQ(block.videocore_handle(), handle);
    EXPECT_EQ(block.to_vector(), pattern(100));
    EXPECT_EQ(vcsm::videocore::list().size(), 1U);
    const auto view = block.lock(vcsm::access::read);
    EXPECT_THROW(block.resize(1000), vcsm::error) << "locked";
    EXPECT_EQ(block.size(), 100U);
}

struct a_fault {
    const char* list;
    int expected;
};

class blocks_under_faults : public vcsm_tests::fresh_videocore, public testing::WithParamInterface<a_fault> {};
INSTANTIATE_TEST_SUITE_P(each, blocks_under_faults,
                         testing::Values(a_fault{"alloc@1=ENOMEM", ENOMEM}, a_fault{"map@1=ENOMEM", ENOMEM},
                                         a_fault{"lock@1=EIO", EIO}, a_fault{"sync@1=EIO", EIO},
                                         a_fault{"unlock@1=EIO", EIO}, a_fault{"sync@2=EIO", EIO},
                                         a_fault{"free@1=EIO", 0}, a_fault{"lock@*=EINTR", 0},
                                         a_fault{"sync@*=EAGAIN", 0}, a_fault{"alloc@1-50=EINTR", 0},
                                         a_fault{"unlock@1-50=EINTR,free@*=EINTR,map@*=EAGAIN", 0}));

// That nothing is left is looked at by the fixture.
TEST_P(blocks_under_faults, leave_nothing_behind_and_say_what_failed) {
    start(GetParam().list);
    int failed = 0;
    try {
        shared_memory block{1000, "b", cache_mode::host};
        try {
            block.copy_from(pattern(1000));
            EXPECT_EQ(seen_by_videocore(block, 1000), pattern(1000));
        } catch (...) {
            EXPECT_EQ(vcsm::videocore::list().at(0).locks, 0U);
            EXPECT_EQ(vcsm::blocks().at(0).locks, 0U);
            throw;
        }
    } catch (const vcsm::error& refused) {
        failed = refused.code().value();
        EXPECT_THAT(refused.what(), HasSubstr("block \"b\""));
        EXPECT_THAT(refused.what(), HasSubstr("on simulated"));
    }
    EXPECT_EQ(failed, GetParam().expected);
}

TEST_F(blocks, ten_thousand_live_at_once_where_a_process_may_have_1024_descriptors) {
    start({}, "256M"); // a page each may be 16 KiB
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit few{std::min<rlim_t>(1024, before.rlim_max), before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    std::vector<shared_memory> many;
    many.reserve(10000);
    for (int i = 0; i < 10000; ++i) {
        many.emplace_back(sizeof i, "one of many", i % 2 == 0 ? cache_mode::none : cache_mode::host);
        many.back().copy_from(std::array{i});
    }
    EXPECT_EQ(vcsm::blocks().size(), 10000U);
    for (int i = 0; i < 10000; i += 999) {
        EXPECT_EQ(many[static_cast<std::size_t>(i)].to_vector<int>().at(0), i);
    }
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

} // namespace
