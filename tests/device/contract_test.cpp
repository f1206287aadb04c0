// What a program may rely on, whatever device it is on. Run on each device that VCSM_CONTRACT_DEVICES names (separated
// by spaces; "simulated" unless it is set): a device that is named and cannot be opened fails.
#include "child.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using vcsm_tests::in_child;
using bytes = std::vector<unsigned char>;

std::size_t page_size() {
    return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Bytes that differ from one place to the next and from one `seed` to the next.
bytes pattern(std::size_t size, unsigned seed = 1) {
    bytes made(size);
    std::uint32_t state = seed * 2654435761U + 1;
    for (unsigned char& each : made) {
        state = state * 1664525U + 1013904223U;
        each = static_cast<unsigned char>(state >> 24U);
    }
    return made;
}

std::set<int> open_descriptors() {
    std::set<int> found;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        const int descriptor = std::atoi(entry.path().filename().c_str());
        if (::fcntl(descriptor, F_GETFD) != -1) { // not the one that lists them
            found.insert(descriptor);
        }
    }
    return found;
}

std::vector<std::string> devices_to_test() {
    const char* const named = std::getenv("VCSM_CONTRACT_DEVICES");
    std::istringstream words{named == nullptr ? "simulated" : named};
    std::vector<std::string> devices;
    for (std::string word; words >> word;) {
        devices.push_back(word);
    }
    return devices;
}

class contract : public testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        try {
            vcsm::use(GetParam());
        } catch (const std::exception& refused) {
            FAIL() << "VCSM_CONTRACT_DEVICES names " << GetParam() << ": " << refused.what();
        }
        for (const vcsm::device_info& each : vcsm::devices()) {
            if (each.chosen) {
                gives_ = each;
            }
        }
        ASSERT_TRUE(gives_.usable) << gives_.why;
    }
    void TearDown() override { vcsm::stop_service(); }

    vcsm::device_info gives_;
};

// Memory

TEST_P(contract, a_new_block_is_zero_and_holds_at_least_what_was_asked_for) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{5000}, page_size(), page_size() + 1, 16 * page_size()}) {
        for (int again = 0; again != 2; ++again) { // the second may get the memory of the first
            vcsm::shared_memory block{size, "zero"};
            EXPECT_EQ(block.size(), size);
            EXPECT_GE(block.capacity(), size);
            EXPECT_EQ(block.capacity() % page_size(), 0U);
            EXPECT_EQ(block.to_vector<unsigned char>(), bytes(size));
            block.copy_from(pattern(size));
        }
    }
}

TEST_P(contract, what_is_copied_in_comes_out) {
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65}, std::size_t{4097}, std::size_t{1} << 20}) {
        vcsm::shared_memory block{size, "copy"};
        const bytes source = pattern(size);
        block.copy_from(source);
        EXPECT_EQ(block.to_vector<unsigned char>(), source) << size;
    }
}

TEST_P(contract, a_copy_to_an_offset_touches_nothing_else) {
    vcsm::shared_memory block{1000, "offset"};
    bytes expected = pattern(1000);
    block.copy_from(expected);
    const bytes part = pattern(131, 7);
    block.copy_from(part, 333);
    std::copy(part.begin(), part.end(), expected.begin() + 333);
    EXPECT_EQ(block.to_vector<unsigned char>(), expected);
    bytes back(100);
    block.copy_to(back, 900);
    EXPECT_EQ(back, bytes(expected.begin() + 900, expected.end()));
}

TEST_P(contract, a_copy_beyond_the_end_is_refused_and_copies_nothing) {
    vcsm::shared_memory block{100, "bounds"};
    const bytes before = pattern(100);
    block.copy_from(before);
    EXPECT_THROW(block.copy_from(pattern(101, 2)), std::length_error);
    EXPECT_THROW(block.copy_from(pattern(51, 2), 50), std::length_error);
    EXPECT_THROW(block.copy_from(pattern(1, 2), 101), std::invalid_argument);
    bytes too_long(block.capacity() + 1);
    EXPECT_THROW(block.copy_to(too_long), std::length_error);
    EXPECT_EQ(block.to_vector<unsigned char>(), before);
}

TEST_P(contract, each_cache_mode_is_taken_and_what_was_granted_is_said) {
    for (const auto mode :
         {vcsm::cache_mode::none, vcsm::cache_mode::host, vcsm::cache_mode::videocore, vcsm::cache_mode::both}) {
        vcsm::shared_memory block{5000, "cache", mode};
        const bytes source = pattern(5000);
        block.copy_from(source);
        EXPECT_EQ(block.to_vector<unsigned char>(), source);
        if (vcsm::is_host_cached(block.granted_cache())) {
            EXPECT_TRUE(gives_.host_cache);
        }
    }
}

TEST_P(contract, an_alignment_is_kept_or_refused) {
    for (const std::size_t alignment : {std::size_t{1}, std::size_t{64}, std::size_t{4096}, std::size_t{65536}}) {
        try {
            const vcsm::shared_memory block{100, "aligned", vcsm::block_options{vcsm::cache_mode::none, alignment}};
            if (gives_.bus_address) {
                EXPECT_EQ(block.bus_address() % alignment, 0U);
            } else {
                const auto view = block.lock(vcsm::access::read);
                EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data()) % alignment, 0U);
            }
        } catch (const vcsm::error&) {
            EXPECT_GT(alignment, page_size());
        }
    }
}

TEST_P(contract, a_resized_block_keeps_its_content_and_its_handle) {
    vcsm::shared_memory block{3000, "resize"};
    bytes content = pattern(3000);
    block.copy_from(content);
    const std::uint32_t handle = block.handle();
    block.resize(3 * page_size());
    content.resize(3 * page_size());
    EXPECT_EQ(block.to_vector<unsigned char>(), content);
    block.resize(10);
    content.resize(10);
    EXPECT_EQ(block.to_vector<unsigned char>(), content);
    EXPECT_EQ(block.handle(), handle);
}

// Locks

TEST_P(contract, locks_nest_and_a_locked_block_may_be_moved) {
    vcsm::shared_memory block{4096, "nest"};
    auto outer = block.lock<unsigned>(vcsm::access::write);
    outer[0] = 17;
    {
        const auto inner = block.lock<unsigned>(vcsm::access::read);
        EXPECT_EQ(inner[0], 17U);
    }
    vcsm::shared_memory moved = std::move(block);
    outer[1] = 18;
    { const auto released = std::move(outer); }
    const auto seen = moved.lock<unsigned>(vcsm::access::read);
    EXPECT_EQ(seen[0], 17U);
    EXPECT_EQ(seen[1], 18U);
    EXPECT_THROW(moved.resize(1), vcsm::error);
}

TEST_P(contract, overwriting_a_whole_block_leaves_what_was_written) {
    vcsm::shared_memory block{5000, "overwrite"};
    block.copy_from(pattern(5000, 1));
    {
        const auto view = block.lock<unsigned char>(vcsm::access::overwrite);
        const bytes source = pattern(5000, 2);
        std::copy(source.begin(), source.end(), view.begin());
    }
    EXPECT_EQ(block.to_vector<unsigned char>(), pattern(5000, 2));
}

TEST_P(contract, signals_interrupt_no_lock_and_no_allocation) {
    static std::atomic<unsigned> signals{0};
    struct sigaction counting {};
    struct sigaction before {};
    counting.sa_handler = [](int) { ++signals; };
    ASSERT_EQ(::sigaction(SIGALRM, &counting, &before), 0);
    const itimerval each{{0, 500}, {0, 500}};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &each, nullptr), 0);
    const bytes source = pattern(3 * page_size());
    for (unsigned round = 0; round < 2000 && (round < 100 || signals < 20); ++round) {
        vcsm::shared_memory block{source.size(), "signals", vcsm::cache_mode::host};
        block.copy_from(source);
        ASSERT_EQ(block.to_vector<unsigned char>(), source);
    }
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before, nullptr);
    EXPECT_GE(signals, 1U);
}

// Names and numbers

TEST_P(contract, a_name_is_kept_whole_whatever_the_kernel_keeps_of_it) {
    for (const std::string& name : {std::string{}, std::string{"ls_grid"}, std::string(31, 'x'), std::string(32, 'y'),
                                    std::string(1000, 'z'), std::string{"größe/with space\tand\nline"}}) {
        const vcsm::shared_memory block{1, name};
        EXPECT_EQ(block.name(), name);
    }
}

TEST_P(contract, numbers_are_given_where_the_device_has_them_and_refused_elsewhere) {
    const vcsm::shared_memory one{100, "one"};
    const vcsm::shared_memory two{100, "two"};
    EXPECT_GT(one.handle(), 0U);
    EXPECT_NE(one.handle(), two.handle());
    if (gives_.videocore_handle) {
        EXPECT_GT(one.videocore_handle(), 0U);
        EXPECT_NE(one.videocore_handle(), two.videocore_handle());
    } else {
        EXPECT_THROW((void)one.videocore_handle(), vcsm::not_supported);
    }
    if (gives_.bus_address) {
        EXPECT_NE(one.bus_address(), 0U);
        EXPECT_NE(one.bus_address(), two.bus_address());
    } else {
        EXPECT_THROW((void)one.bus_address(), vcsm::not_supported);
    }
    if (!gives_.dmabuf) {
        EXPECT_THROW((void)one.export_dmabuf(), vcsm::not_supported);
    }
}

// Limits

TEST_P(contract, sizes_that_cannot_be_are_refused_before_the_device_is_asked) {
    EXPECT_THROW((vcsm::shared_memory{0, "nothing"}), std::invalid_argument);
    EXPECT_THROW((vcsm::shared_memory{SIZE_MAX, "all"}), std::length_error);
    EXPECT_THROW((vcsm::shared_memory{gives_.max_bytes + 1, "more"}), std::length_error);
}

TEST_P(contract, what_there_is_no_room_for_is_an_error_and_nothing_is_left_of_it) {
    const vcsm::shared_memory first{100, "opens what is opened once"};
    const std::set<int> before = open_descriptors();
    const std::size_t blocks = vcsm::blocks().size();
    EXPECT_THROW((vcsm::shared_memory{gives_.max_bytes, "too much"}), vcsm::error);
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(vcsm::blocks().size(), blocks);
    EXPECT_NO_THROW((vcsm::shared_memory{100, "after"}));
}

TEST_P(contract, a_thousand_blocks_one_after_another_leave_nothing) {
    { const vcsm::shared_memory first{100, "opens what is opened once"}; }
    const std::set<int> before = open_descriptors();
    for (unsigned round = 0; round != 1000; ++round) {
        vcsm::shared_memory block{page_size(), "round",
                                  round % 2 == 0 ? vcsm::cache_mode::none : vcsm::cache_mode::host};
        const std::array<unsigned, 1> value{round};
        block.copy_from(value);
        ASSERT_EQ(block.to_vector<unsigned>().front(), round);
    }
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_TRUE(vcsm::blocks().empty());
}

TEST_P(contract, many_blocks_at_once_do_not_share_memory) {
    std::vector<vcsm::shared_memory> blocks;
    for (unsigned i = 0; i != 200; ++i) {
        blocks.emplace_back(2 * page_size(), "many", i % 2 == 0 ? vcsm::cache_mode::none : vcsm::cache_mode::host);
        blocks.back().copy_from(pattern(2 * page_size(), i));
    }
    for (unsigned i = 0; i != 200; ++i) {
        ASSERT_EQ(blocks[i].to_vector<unsigned char>(), pattern(2 * page_size(), i)) << i;
    }
}

// Threads

TEST_P(contract, blocks_are_made_locked_and_freed_in_several_threads) {
    vcsm::shared_memory common{4 * sizeof(unsigned), "common"};
    std::array<std::string, 4> failures;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t != 4; ++t) {
        threads.emplace_back([&, t] {
            try {
                for (unsigned round = 0; round != 50; ++round) {
                    vcsm::shared_memory own{5000, "own", vcsm::cache_mode::host};
                    own.copy_from(pattern(5000, t));
                    const auto view = common.lock<unsigned>(vcsm::access::write, t * sizeof(unsigned), 1);
                    view[0] = view[0] + 1;
                    if (own.to_vector<unsigned char>() != pattern(5000, t)) {
                        failures[t] = "a block held another's bytes";
                    }
                }
            } catch (const std::exception& failed) {
                failures[t] = failed.what();
            }
        });
    }
    for (std::thread& each : threads) {
        each.join();
    }
    EXPECT_THAT(failures, testing::Each(""));
    EXPECT_THAT(common.to_vector<unsigned>(), testing::ElementsAre(50, 50, 50, 50));
}

// dma-bufs

class contract_dmabuf : public contract {
  protected:
    void SetUp() override {
        contract::SetUp();
        if (!HasFatalFailure() && !gives_.dmabuf) {
            GTEST_SKIP() << GetParam() << " has no dma-bufs";
        }
    }
};

TEST_P(contract_dmabuf, a_descriptor_is_the_callers_and_keeps_the_memory) {
    int exported = -1;
    {
        vcsm::shared_memory block{5000, "export"};
        block.copy_from(pattern(5000));
        exported = block.export_dmabuf();
    }
    ASSERT_GE(exported, 0);
    EXPECT_NE(::fcntl(exported, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(::lseek(exported, 0, SEEK_END) % static_cast<off_t>(page_size()), 0);
    const auto again = vcsm::shared_memory::from_dmabuf(exported, "again");
    EXPECT_EQ(::close(exported), 0);
    bytes seen(5000);
    again.copy_to(seen);
    EXPECT_EQ(seen, pattern(5000));
}

TEST_P(contract_dmabuf, importing_a_block_of_ones_own_is_a_second_reference_to_it) {
    auto first = std::make_unique<vcsm::shared_memory>(5000, "own");
    const int exported = first->export_dmabuf();
    vcsm::shared_memory second = vcsm::shared_memory::from_dmabuf(exported, "own again");
    ::close(exported);
    EXPECT_NE(first->handle(), second.handle());
    if (gives_.videocore_handle) {
        EXPECT_EQ(first->videocore_handle(), second.videocore_handle()) << "the driver was not asked";
    }
    first->copy_from(pattern(5000, 3));
    bytes seen(5000);
    second.copy_to(seen);
    EXPECT_EQ(seen, pattern(5000, 3));
    first.reset();
    second.copy_to(seen);
    EXPECT_EQ(seen, pattern(5000, 3));
}

TEST_P(contract_dmabuf, another_process_that_imports_a_descriptor_sees_and_writes_the_same_memory) {
    for (const auto mode : {vcsm::cache_mode::none, vcsm::cache_mode::host}) {
        vcsm::shared_memory block{5000, "shared", mode};
        block.copy_from(pattern(5000, 4));
        const int exported = block.export_dmabuf();
        EXPECT_EQ(in_child([&] {
                      auto theirs = vcsm::shared_memory::from_dmabuf(exported, "theirs");
                      bytes seen(5000);
                      theirs.copy_to(seen);
                      theirs.copy_from(pattern(100, 5), 1000);
                      return seen == pattern(5000, 4) ? 0 : 1;
                  }),
                  0);
        ::close(exported);
        bytes seen(100);
        block.copy_to(seen, 1000);
        EXPECT_EQ(seen, pattern(100, 5));
    }
}

TEST_P(contract_dmabuf, a_block_sent_over_a_socket_is_the_same_memory_in_both_processes) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    vcsm::shared_memory block{5000, "sent"};
    block.copy_from(pattern(5000, 9));
    vcsm::send_block(ends[0], block);
    EXPECT_EQ(in_child([&] {
                  auto theirs = vcsm::receive_block(ends[1]);
                  const bool same = theirs.name() == "sent" && theirs.to_vector<unsigned char>() == pattern(5000, 9);
                  theirs.copy_from(pattern(5000, 10));
                  return same ? 0 : 1;
              }),
              0);
    EXPECT_EQ(block.to_vector<unsigned char>(), pattern(5000, 10));
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_P(contract_dmabuf, what_is_no_dma_buf_is_not_imported_and_nothing_is_left) {
    { const vcsm::shared_memory first{100, "opens what is opened once"}; }
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const int closed = ::dup(null);
    ::close(closed);
    const std::set<int> before = open_descriptors();
    EXPECT_THROW((void)vcsm::shared_memory::from_dmabuf(-1), std::invalid_argument);
    for (const int descriptor : {closed, 1 << 20, null, file, pipe[0], pipe[1]}) {
        EXPECT_THROW((void)vcsm::shared_memory::from_dmabuf(descriptor), vcsm::error) << descriptor;
    }
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_TRUE(vcsm::blocks().empty());
    for (const int descriptor : {null, file, pipe[0], pipe[1]}) {
        ::close(descriptor);
    }
}

// Processes

TEST_P(contract, no_descriptor_is_inherited_by_another_program) {
    const std::set<int> before = open_descriptors();
    const vcsm::shared_memory none{100, "none", vcsm::cache_mode::none};
    const vcsm::shared_memory host{100, "host", vcsm::cache_mode::host};
    if (gives_.dmabuf) {
        (void)none.dmabuf();
        (void)host.dmabuf();
    }
    for (const int each : open_descriptors()) {
        if (before.count(each) == 0) {
            EXPECT_NE(::fcntl(each, F_GETFD) & FD_CLOEXEC, 0) << each;
        }
    }
}

TEST_P(contract, a_child_leaves_its_parents_blocks_alone_and_has_its_own) {
    vcsm::shared_memory block{5000, "parents"};
    block.copy_from(pattern(5000, 6));
    EXPECT_EQ(in_child([&] {
                  try {
                      (void)block.size();
                      return 1;
                  } catch (const vcsm::no_block& refused) {
                      if (std::string{refused.what()}.find("process") == std::string::npos) {
                          return 2;
                      }
                  }
                  block.close();
                  vcsm::shared_memory own{5000, "childs"};
                  own.copy_from(pattern(5000, 7));
                  return own.to_vector<unsigned char>() == pattern(5000, 7) ? 0 : 3;
              }),
              0);
    EXPECT_EQ(block.to_vector<unsigned char>(), pattern(5000, 6));
    block.copy_from(pattern(5000, 8));
    EXPECT_EQ(block.to_vector<unsigned char>(), pattern(5000, 8));
}

TEST_P(contract, stopping_frees_everything_and_starting_again_works_any_number_of_times) {
    const std::set<int> before = [] {
        vcsm::stop_service();
        return open_descriptors();
    }();
    for (int round = 0; round != 3; ++round) {
        vcsm::shared_memory block{5000, "stopped"};
        block.copy_from(pattern(5000));
        vcsm::stop_service();
        EXPECT_FALSE(static_cast<bool>(block));
        EXPECT_THROW((void)block.size(), vcsm::no_block);
        EXPECT_TRUE(vcsm::blocks().empty());
        EXPECT_EQ(open_descriptors(), before);
        vcsm::start_service();
    }
}

TEST_P(contract, memory_that_is_locked_when_the_service_stops_stays_until_its_lock_ends) {
    vcsm::shared_memory block{5000, "locked"};
    {
        const auto view = block.lock<unsigned char>(vcsm::access::write);
        vcsm::stop_service();
        view[0] = 1; // harms nobody
    }
    EXPECT_THROW((void)block.size(), vcsm::no_block);
}

/// Whether there is memory at the page of that address.
bool is_mapped(const void* address) {
    unsigned char in_memory = 0;
    const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(address) & ~(page_size() - 1);
    return ::mincore(reinterpret_cast<void*>(first), page_size(), &in_memory) == 0;
}

const void* address_of(const vcsm::shared_memory& block) {
    return block.lock(vcsm::access::read).data();
}

TEST_P(contract, memory_that_nobody_has_locked_when_the_service_stops_is_unmapped_whatever_stands_for_it) {
    if (GetParam() == "simulated") {
        GTEST_SKIP() << "its blocks lie in the memory of the process's own VideoCore, which stays";
    }
    const vcsm::shared_memory plain{5000, "plain"};
    vcsm::pool carved{std::size_t{1} << 20, "carved"};
    vcsm::pool whole{std::size_t{1} << 20, "whole", {.whole_blocks = true}};
    const vcsm::shared_memory part = carved.allocate(5000);
    const vcsm::shared_memory named = carved.allocate(5000);
    const vcsm::shared_memory alone = whole.allocate(5000);
    (void)named.handle();
    std::vector<const void*> addresses;
    for (const vcsm::shared_memory* const each : {&plain, &part, &named, &alone}) {
        addresses.push_back(address_of(*each));
        ASSERT_TRUE(is_mapped(addresses.back()));
    }
    vcsm::stop_service();
    for (std::size_t i = 0; i != addresses.size(); ++i) {
        EXPECT_FALSE(is_mapped(addresses[i])) << i;
    }
    EXPECT_THROW((void)part.to_vector(), vcsm::no_block);
    EXPECT_THROW((void)carved.allocate(1), vcsm::no_block);
}

TEST_P(contract, memory_of_a_pool_that_is_locked_when_the_service_stops_stays_until_its_last_lock_ends) {
    vcsm::pool carved{std::size_t{1} << 20, "carved"};
    const vcsm::shared_memory one = carved.allocate(5000);
    const vcsm::shared_memory other = carved.allocate(5000);
    auto first = one.lock(vcsm::access::write);
    auto last = other.lock(vcsm::access::read);
    const void* const address = first.data();
    vcsm::stop_service();
    first[0] = std::byte{1};
    first.unlock();
    EXPECT_EQ(last[0], std::byte{0}) << "still there";
    last.unlock();
    if (GetParam() != "simulated") {
        EXPECT_FALSE(is_mapped(address));
    }
}

std::string name_of_parameter(const testing::TestParamInfo<std::string>& info) {
    std::string name = info.param;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(on, contract, testing::ValuesIn(devices_to_test()), name_of_parameter);
INSTANTIATE_TEST_SUITE_P(on, contract_dmabuf, testing::ValuesIn(devices_to_test()), name_of_parameter);

} // namespace
