#include "videocore/model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

using vcsm::cache_mode;
using vcsm::videocore::block;
using vcsm::videocore::model;
using vcsm::videocore::model_options;

std::size_t page() {
    return vcsm::kernel::page_size();
}

template <class Call>
int errno_of(Call&& call) {
    try {
        call();
    } catch (const std::system_error& thrown) {
        return thrown.code().value();
    }
    return 0;
}

std::vector<std::byte> read_all(model& videocore, std::uint32_t handle, std::size_t bytes) {
    std::vector<std::byte> seen(bytes);
    videocore.read(handle, 0, seen);
    return seen;
}

// Both kinds of storage keep the same promises.
class a_model : public testing::TestWithParam<bool> {
  protected:
    std::shared_ptr<model> make(std::size_t pages = 64, const char* faults = "") const {
        model_options options;
        options.memory = pages * page();
        options.one_arena = GetParam();
        options.faults = faults;
        return model::make(options);
    }
};
INSTANTIATE_TEST_SUITE_P(storage, a_model, testing::Values(true, false),
                         [](const auto& what) { return what.param ? "arena" : "separate"; });

TEST_P(a_model, gives_whole_pages_of_zeros_that_videocore_knows) {
    auto videocore = make();
    auto made = videocore->allocate({5000, "table", cache_mode::none, 1});
    EXPECT_EQ(made->capacity(), vcsm::kernel::round_up_to_pages(5000));
    EXPECT_GT(made->videocore_handle(), 0U);
    EXPECT_EQ(made->bus_address() % page(), 0U);
    EXPECT_GE(made->bus_address(), 0xc0000000U);
    EXPECT_THAT(read_all(*videocore, made->videocore_handle(), 5000), testing::Each(std::byte{0}));
}

TEST_P(a_model, what_the_cpu_writes_to_an_uncached_block_videocore_sees_at_once) {
    auto videocore = make();
    auto made = videocore->allocate({100, "b", cache_mode::none, 1});
    made->bytes().cpu()[50] = std::byte{5};
    EXPECT_EQ(read_all(*videocore, made->videocore_handle(), 100)[50], std::byte{5});
}

TEST_P(a_model, a_cached_block_has_two_copies_until_access_ends) {
    auto videocore = make();
    auto made = videocore->allocate({100, "b", cache_mode::host, 1});
    const std::uint32_t handle = made->videocore_handle();
    made->begin_access(true);
    made->bytes().cpu()[50] = std::byte{5};
    EXPECT_EQ(read_all(*videocore, handle, 100)[50], std::byte{0});
    EXPECT_EQ(made->unsynced_lines(), 1U);
    made->end_access(true);
    EXPECT_EQ(read_all(*videocore, handle, 100)[50], std::byte{5});
    const std::array written{std::byte{8}};
    videocore->write(handle, 50, written);
    EXPECT_EQ(made->bytes().cpu()[50], std::byte{5}) << "the CPU looks into its cache";
    made->begin_access(true);
    EXPECT_EQ(made->bytes().cpu()[50], std::byte{8});
}

TEST_P(a_model, memory_comes_back_when_program_and_videocore_have_let_go) {
    auto videocore = make();
    const std::size_t before = videocore->room().free;
    auto made = videocore->allocate({page(), "b", cache_mode::both, 1});
    const std::uint32_t handle = made->videocore_handle();
    videocore->hold(handle);
    videocore->hold(handle);
    videocore->free(made);
    made.reset();
    EXPECT_LT(videocore->room().free, before);
    EXPECT_EQ(videocore->list().at(0).held, 2U);
    EXPECT_FALSE(videocore->list().at(0).allocated);
    videocore->release(handle);
    EXPECT_EQ(read_all(*videocore, handle, 1).size(), 1U);
    videocore->release(handle);
    EXPECT_EQ(videocore->room().free, before);
    EXPECT_TRUE(videocore->list().empty());
    EXPECT_EQ(errno_of([&] { read_all(*videocore, handle, 1); }), ENOENT);
}

TEST_P(a_model, memory_that_somebody_maps_is_not_given_to_another) {
    auto videocore = make(2);
    auto mapped = videocore->allocate({page(), "mapped", cache_mode::none, 1});
    videocore->free(mapped);
    EXPECT_EQ(videocore->find(mapped->videocore_handle()), nullptr) << "the handle goes at once";
    EXPECT_EQ(errno_of([&] { (void)videocore->allocate({2 * page(), "b", cache_mode::none, 1}); }), ENOMEM);
    mapped.reset();
    EXPECT_EQ(errno_of([&] { (void)videocore->allocate({2 * page(), "b", cache_mode::none, 1}); }), 0);
}

TEST_P(a_model, the_next_owner_of_memory_finds_zeros) {
    auto videocore = make(3);
    for (const cache_mode cache : {cache_mode::none, cache_mode::host, cache_mode::none, cache_mode::both}) {
        auto made = videocore->allocate({3 * page(), "b", cache, 1});
        EXPECT_THAT(read_all(*videocore, made->videocore_handle(), 3 * page()), testing::Each(std::byte{0}));
        made->begin_access(true);
        EXPECT_THAT(std::vector<std::byte>(made->bytes().cpu().begin(), made->bytes().cpu().end()),
                    testing::Each(std::byte{0}));
        std::memset(made->bytes().cpu().data(), 0xff, 3 * page());
        made->end_access(true);
        videocore->free(made);
    }
}

TEST_P(a_model, aligns_bus_addresses) {
    auto videocore = make();
    auto first = videocore->allocate({1, "b", cache_mode::none, 1});
    auto aligned = videocore->allocate({1, "b", cache_mode::none, 8 * page()});
    EXPECT_EQ(aligned->bus_address() % (8 * page()), 0U);
}

TEST_P(a_model, refuses_what_videocore_cannot_do) {
    auto videocore = make();
    auto made = videocore->allocate({1, "b", cache_mode::none, 1});
    const std::uint32_t handle = made->videocore_handle();
    std::vector<std::byte> bytes(2);
    EXPECT_EQ(errno_of([&] { videocore->read(handle, made->capacity() - 1, bytes); }), EINVAL);
    EXPECT_EQ(errno_of([&] { videocore->read(handle, SIZE_MAX, bytes); }), EINVAL);
    EXPECT_EQ(errno_of([&] { videocore->write(handle, made->capacity(), bytes); }), EINVAL);
    EXPECT_EQ(errno_of([&] { videocore->release(handle); }), EINVAL);
    EXPECT_EQ(errno_of([&] { videocore->hold(handle + 1); }), ENOENT);
    EXPECT_EQ(errno_of([&] { (void)videocore->allocate({0, "b", cache_mode::none, 1}); }), EINVAL);
    EXPECT_EQ(errno_of([&] { (void)videocore->allocate({SIZE_MAX, "b", cache_mode::none, 1}); }), ENOMEM);
}

TEST_P(a_model, one_flipped_bit_is_what_a_faulty_reading_gives) {
    auto videocore = make(64, "read@2=flip,read@3=EIO");
    auto made = videocore->allocate({100, "b", cache_mode::none, 1});
    const std::uint32_t handle = made->videocore_handle();
    const auto right = read_all(*videocore, handle, 100);
    const auto wrong = read_all(*videocore, handle, 100);
    int differing_bits = 0;
    for (std::size_t i = 0; i < right.size(); ++i) {
        differing_bits += std::popcount(std::to_integer<unsigned>(right[i] ^ wrong[i]));
    }
    EXPECT_EQ(differing_bits, 1);
    EXPECT_EQ(errno_of([&] { read_all(*videocore, handle, 100); }), EIO);
    EXPECT_EQ(read_all(*videocore, handle, 100), right);
}

TEST(a_model_of_one_arena, gives_ten_thousand_blocks_one_descriptor) {
    model_options options;
    options.memory = 10000 * page();
    auto videocore = model::make(options);
    const int next_before = ::dup(STDERR_FILENO);
    ::close(next_before);
    std::vector<std::shared_ptr<block>> made;
    for (int i = 0; i < 10000; ++i) {
        made.push_back(videocore->allocate({1, "b", cache_mode::none, 1}));
    }
    const int next_after = ::dup(STDERR_FILENO);
    ::close(next_after);
    EXPECT_EQ(next_before, next_after);
}

TEST(a_model_of_one_arena, moves_an_exported_block_at_the_same_address) {
    auto videocore = model::make({});
    auto made = videocore->allocate({page(), "b", cache_mode::none, 1});
    auto neighbour = videocore->allocate({page(), "n", cache_mode::none, 1});
    std::byte* const address = made->bytes().cpu().data();
    address[7] = std::byte{7};
    neighbour->bytes().cpu()[0] = std::byte{3};
    const int exported = made->videocore_memfd();
    EXPECT_EQ(made->bytes().cpu().data(), address);
    EXPECT_EQ(address[7], std::byte{7});
    auto* const elsewhere =
        static_cast<std::byte*>(::mmap(nullptr, page(), PROT_READ | PROT_WRITE, MAP_SHARED, exported, 0));
    ASSERT_NE(elsewhere, MAP_FAILED);
    EXPECT_EQ(elsewhere[7], std::byte{7});
    elsewhere[8] = std::byte{8};
    EXPECT_EQ(read_all(*videocore, made->videocore_handle(), page())[8], std::byte{8});
    EXPECT_EQ(neighbour->bytes().cpu()[0], std::byte{3});
    EXPECT_EQ(::fcntl(exported, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    EXPECT_EQ(::ftruncate(exported, 0), -1) << "a program's ftruncate would kill whoever maps it";

    videocore->free(made);
    made.reset();
    EXPECT_EQ(elsewhere[8], std::byte{8}) << "who has it mapped keeps it";
    auto next = videocore->allocate({page(), "next", cache_mode::none, 1});
    next->bytes().cpu()[8] = std::byte{1};
    EXPECT_EQ(elsewhere[8], std::byte{8}) << "the range belongs to the arena again";
    ::munmap(elsewhere, page());
}

TEST(a_model_of_one_arena, does_not_move_a_locked_block) {
    auto videocore = model::make({});
    auto made = videocore->allocate({page(), "b", cache_mode::none, 1});
    made->locks() = 1;
    EXPECT_EQ(errno_of([&] { (void)made->videocore_memfd(); }), EBUSY);
    made->locks() = 0;
    EXPECT_EQ(errno_of([&] { (void)made->videocore_memfd(); }), 0);
}

TEST(two_models, share_what_one_exports_and_the_other_imports) {
    auto here = model::make({});
    auto there = model::make({});
    auto made = here->allocate({page(), "b", cache_mode::host, 1});
    made->begin_access(true);
    made->bytes().cpu()[1] = std::byte{1};
    made->end_access(true);
    auto imported = there->import(made->videocore_memfd(), "i", cache_mode::host);
    imported->begin_access(true);
    EXPECT_EQ(imported->bytes().cpu()[1], std::byte{1});
    imported->bytes().cpu()[2] = std::byte{2};
    imported->end_access(true);
    EXPECT_EQ(read_all(*here, made->videocore_handle(), 3)[2], std::byte{2});
}

TEST(two_models, import_nothing_but_blocks) {
    auto videocore = model::make({});
    const int plain = ::memfd_create("vcsm:block", MFD_CLOEXEC);
    ASSERT_EQ(::ftruncate(plain, 4096), 0);
    EXPECT_EQ(errno_of([&] { (void)videocore->import(plain, "i", cache_mode::none); }), EINVAL) << "not sealed";
    EXPECT_EQ(errno_of([&] { (void)videocore->import(STDIN_FILENO, "i", cache_mode::none); }), EINVAL);
    EXPECT_EQ(errno_of([&] { (void)videocore->import(-1, "i", cache_mode::none); }), EINVAL);
    ::close(plain);
}

TEST(a_model_of_one_arena, has_some_memory_and_no_more_than_can_be_mapped) {
    for (const std::size_t impossible : {std::size_t{0}, SIZE_MAX / 2, SIZE_MAX}) {
        vcsm::videocore::model_options wanted;
        wanted.memory = impossible;
        EXPECT_THROW((void)model::make(wanted), std::invalid_argument) << impossible;
    }
}

TEST(bytes_of_memory, are_read_with_binary_units) {
    using vcsm::videocore::parse_bytes;
    EXPECT_EQ(parse_bytes("134217728", "X"), 134217728U);
    EXPECT_EQ(parse_bytes("64K", "X"), 65536U);
    EXPECT_EQ(parse_bytes("128M", "X"), 134217728U);
    EXPECT_EQ(parse_bytes("1G", "X"), 1073741824U);
    for (const char* const wrong : {"", "M", "0", "-1", "1T", "1m", "1 M", "1.5G", "x", "1MM", "0K", " 1",
                                    "99999999999999999999", "18446744073709551615G"}) {
        EXPECT_THROW((void)parse_bytes(wrong, "VCSM_SIM_MEMORY"), std::invalid_argument) << wrong;
    }
}

} // namespace
