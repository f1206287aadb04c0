#include <vcsm/strided.hpp>

#include <gtest/gtest.h>
#ifdef VCSM_HAS_RAPIDCHECK
#include <rapidcheck.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

namespace vcsm {
namespace {

std::vector<std::byte> numbered(std::size_t bytes) {
    std::vector<std::byte> made(bytes);
    std::mt19937 numbers{7};
    std::generate(made.begin(), made.end(), [&] { return static_cast<std::byte>(numbers()); });
    return made;
}

// The definition, element by element.
void copy_one_by_one(std::byte* target, const std::byte* source, const strided& how, std::size_t dimension = 0) {
    if (dimension == how.shape.size()) {
        std::memcpy(target, source, how.element_bytes);
        return;
    }
    for (std::size_t i = 0; i < how.shape[dimension]; ++i) {
        const auto at = static_cast<std::ptrdiff_t>(i);
        copy_one_by_one(target + at * how.target_strides[dimension], source + at * how.source_strides[dimension], how,
                        dimension + 1);
    }
}

#ifdef VCSM_HAS_RAPIDCHECK

// An array inside a buffer: which strides it has and where its first element is.
struct layout {
    std::vector<std::ptrdiff_t> strides;
    std::size_t first = 0;
    std::size_t bytes = 0;
};

// The dimensions in a random order, with random gaps, some of them backwards.
layout random_layout(const std::vector<std::size_t>& shape, std::size_t element, std::mt19937& numbers) {
    std::vector<std::size_t> order(shape.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (numbers() % 2 == 0) {
        std::shuffle(order.begin(), order.end(), numbers);
    } else {
        std::reverse(order.begin(), order.end());
    }
    layout made;
    made.strides.resize(shape.size());
    std::size_t extent = element;
    for (const std::size_t i : order) {
        const std::size_t gap = numbers() % 3 == 0 ? numbers() % (3 * element + 1) : 0;
        const std::size_t step = numbers() % 4 == 0 ? extent * (1 + numbers() % 4) : extent + gap;
        const bool backwards = numbers() % 4 == 0;
        made.strides[i] = static_cast<std::ptrdiff_t>(step) * (backwards ? -1 : 1);
        if (shape[i] > 0) {
            extent = step * (shape[i] - 1) + extent;
            made.first += backwards ? step * (shape[i] - 1) : 0;
        }
    }
    made.bytes = extent;
    return made;
}

TEST(strided, every_array_is_copied_as_element_by_element_and_nothing_else_is_touched) {
    EXPECT_TRUE(rc::check([] {
        std::mt19937 numbers{*rc::gen::arbitrary<unsigned>()};
        const std::size_t element = *rc::gen::elementOf(std::vector<std::size_t>{1, 2, 3, 4, 8, 12, 16, 24});
        const auto shape =
            *rc::gen::resize(5, rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, 9)));
        RC_PRE(shape.size() <= 5U);
        const layout into = random_layout(shape, element, numbers);
        const layout from = random_layout(shape, element, numbers);
        const std::vector<std::byte> source = numbered(from.bytes);
        std::vector<std::byte> target(into.bytes, std::byte{0xee});
        std::vector<std::byte> expected = target;
        const strided how{element, shape, into.strides, from.strides};
        copy_one_by_one(expected.data() + into.first, source.data() + from.first, how);
        copy_strided(target.data() + into.first, source.data() + from.first, how);
        RC_ASSERT(target == expected);
    }));
}

#endif

TEST(strided, long_rows_of_every_small_stride_are_copied) {
    for (const std::size_t element : {1U, 2U, 4U, 8U, 16U}) {
        for (std::ptrdiff_t to = 1; to <= 5; ++to) {
            for (std::ptrdiff_t out = -3; out <= 5; ++out) {
                const std::size_t count = 1037;
                const auto bytes = static_cast<std::ptrdiff_t>(element);
                const std::vector<std::size_t> shape{count};
                const std::vector<std::ptrdiff_t> into{to * bytes};
                const std::vector<std::ptrdiff_t> from{out * bytes};
                const std::vector<std::byte> source = numbered(count * element * 5 + 1);
                std::vector<std::byte> target(count * element * 5 + 1, std::byte{0xee});
                std::vector<std::byte> expected = target;
                const strided how{element, shape, into, from};
                // An odd address: nothing promises alignment.
                const std::byte* const first = source.data() + 1 + (out < 0 ? -out * bytes * 1036 : 0);
                copy_one_by_one(expected.data() + 1, first, how);
                copy_strided(target.data() + 1, first, how);
                EXPECT_EQ(target, expected) << element << " bytes, strides " << to << " and " << out;
            }
        }
    }
}

TEST(strided, no_dimensions_are_one_element) {
    const std::uint32_t source = 0x12345678;
    std::uint32_t target = 0;
    copy_strided(reinterpret_cast<std::byte*>(&target), reinterpret_cast<const std::byte*>(&source), {4, {}, {}, {}});
    EXPECT_EQ(target, source);
}

TEST(strided, what_makes_no_sense_is_refused_and_nothing_copied) {
    const std::vector<std::byte> source(8, std::byte{1});
    std::vector<std::byte> target(8);
    const std::vector<std::size_t> shape{2, 2};
    const std::vector<std::ptrdiff_t> one{1};
    const std::vector<std::ptrdiff_t> two{2, 1};
    const std::vector<std::size_t> many(most_dimensions + 1, 1);
    const std::vector<std::ptrdiff_t> many_strides(most_dimensions + 1, 1);
    EXPECT_THROW(copy_strided(target.data(), source.data(), {1, shape, one, two}), std::invalid_argument);
    EXPECT_THROW(copy_strided(target.data(), source.data(), {1, shape, two, one}), std::invalid_argument);
    EXPECT_THROW(copy_strided(target.data(), source.data(), {0, shape, two, two}), std::invalid_argument);
    EXPECT_THROW(copy_strided(target.data(), source.data(), {1, many, many_strides, many_strides}),
                 std::invalid_argument);
    EXPECT_EQ(target, std::vector<std::byte>(8));
}

} // namespace
} // namespace vcsm
