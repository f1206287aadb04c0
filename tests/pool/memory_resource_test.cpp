#include "core/fresh.hpp"

#include <vcsm/memory_resource.hpp>

#include <cstdint>
#include <list>
#include <memory_resource>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

class containers_in_videocore : public vcsm_tests::fresh_videocore {};

template <class T>
std::vector<T> seen_by_videocore(const vcsm::memory_resource& resource, const T* first, std::size_t count) {
    std::vector<T> seen(count);
    const auto [handle, offset] = resource.location(first);
    vcsm::videocore::read(handle, offset, std::as_writable_bytes(std::span{seen}));
    return seen;
}

TEST_F(containers_in_videocore, are_seen_by_it_after_a_sync) {
    for (const vcsm::cache_mode cache : {vcsm::cache_mode::none, vcsm::cache_mode::host}) {
        vcsm::pool memory{mebibyte, "vectors", {.cache = cache}};
        vcsm::memory_resource resource{memory};
        std::pmr::vector<std::uint32_t> first(1000, &resource);
        std::pmr::vector<std::uint32_t> second{&resource};
        std::iota(first.begin(), first.end(), 5U);
        for (std::uint32_t i = 0; i < 3000; ++i) {
            second.push_back(i * 7);
        }
        resource.sync();
        EXPECT_EQ(seen_by_videocore(resource, first.data(), first.size()),
                  std::vector<std::uint32_t>(first.begin(), first.end()));
        EXPECT_EQ(seen_by_videocore(resource, second.data() + 100, 200),
                  std::vector<std::uint32_t>(second.begin() + 100, second.begin() + 300));
        EXPECT_EQ(resource.bus_address(first.data() + 1), resource.bus_address(first.data()) + 4);

        const std::vector<std::uint32_t> answer(1000, 42);
        const auto [handle, offset] = resource.location(first.data());
        vcsm::videocore::write(handle, offset, std::as_bytes(std::span{answer}));
        resource.sync();
        EXPECT_EQ(std::vector<std::uint32_t>(first.begin(), first.end()), answer);
        first[0] = 43; // still writable
    }
}

TEST_F(containers_in_videocore, are_not_seen_by_it_before_where_the_cpu_caches_them) {
    vcsm::pool memory{mebibyte, "vectors", {.cache = vcsm::cache_mode::host}};
    vcsm::memory_resource resource{memory};
    std::pmr::vector<std::uint32_t> values(100, 1U, &resource);
    EXPECT_EQ(seen_by_videocore(resource, values.data(), 100), std::vector<std::uint32_t>(100));
}

TEST_F(containers_in_videocore, give_all_memory_back) {
    vcsm::pool memory{mebibyte, "lists", {.limit = mebibyte}};
    vcsm::memory_resource resource{memory};
    for (int round = 0; round < 20; ++round) {
        std::pmr::list<std::pmr::string> words{&resource};
        for (int i = 0; i < 300; ++i) {
            words.emplace_back("a word that is too long to be kept in the string itself, so that it needs memory");
        }
        EXPECT_EQ(words.back().get_allocator().resource(), &resource);
        EXPECT_EQ(memory.statistics().blocks, 600U);
    }
    EXPECT_EQ(memory.statistics().blocks, 0U);
    EXPECT_EQ(memory.statistics().largest_free, mebibyte);
}

TEST_F(containers_in_videocore, outlive_the_pool_and_the_service) {
    auto memory = std::make_unique<vcsm::pool>(mebibyte, "vectors");
    vcsm::memory_resource resource{*memory};
    std::pmr::vector<int> values(100, 7, &resource);
    memory.reset();
    values[5] = 8;
    EXPECT_THROW(values.resize(100000), vcsm::no_block);
    vcsm::stop_service();
    values[5] = 9;
    EXPECT_EQ(values[5], 9);
}

TEST_F(containers_in_videocore, keep_what_they_have_where_there_is_no_more) {
    vcsm::pool memory{mebibyte, "vectors", {.limit = mebibyte}};
    vcsm::memory_resource resource{memory};
    std::pmr::vector<int> values(100000, 7, &resource);
    EXPECT_THROW(values.resize(1000000), vcsm::out_of_memory);
    EXPECT_EQ(std::pmr::vector<int>(100000, 7), values);
}

TEST_F(containers_in_videocore, refuse_what_is_not_theirs) {
    vcsm::pool memory{mebibyte, "one"};
    vcsm::memory_resource one{memory};
    vcsm::memory_resource two{memory};
    void* const given = one.allocate(100, 256);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(given) % 256, 0U);
    EXPECT_THROW(two.deallocate(given, 100, 256), std::invalid_argument);
    EXPECT_THROW((void)two.location(given), std::invalid_argument);
    EXPECT_THROW((void)one.location(static_cast<std::byte*>(given) + 100), std::invalid_argument);
    one.deallocate(given, 100, 256);
    EXPECT_THROW(one.deallocate(given, 100, 256), std::invalid_argument);
    EXPECT_FALSE(one == two);
    vcsm::pool none;
    EXPECT_THROW(vcsm::memory_resource{none}, vcsm::no_block);
}

} // namespace
