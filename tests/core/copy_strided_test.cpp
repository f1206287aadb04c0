// Strided copies against the plainest way to write them: one element at a time, by its indices.
#include "copy_strided.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

namespace {

using vcsm::detail::copy_strided;

// An array in memory of its own, whose axes lie in any order, with gaps, and run backwards where asked.
struct array {
    std::vector<std::byte> memory;
    std::vector<std::ptrdiff_t> strides;
    std::ptrdiff_t first = 0; // where element [0, 0, …] lies in it

    std::byte* start() { return memory.data() + first; }
};

template <class Random>
array random_array(const std::vector<std::size_t>& shape, std::size_t element_bytes, Random& random) {
    array made;
    std::vector<std::size_t> order(shape.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::shuffle(order.begin(), order.end(), random);
    made.strides.resize(shape.size());
    std::size_t bytes = element_bytes;
    for (const std::size_t axis : order) {
        const std::size_t step = random() % 3 == 0 ? 2 : 1;
        made.strides[axis] = static_cast<std::ptrdiff_t>(bytes * step);
        bytes *= step * std::max<std::size_t>(shape[axis], 1);
    }
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        if (shape[axis] > 0 && random() % 3 == 0) {
            made.first += made.strides[axis] * static_cast<std::ptrdiff_t>(shape[axis] - 1);
            made.strides[axis] = -made.strides[axis];
        }
    }
    made.memory.resize(bytes);
    std::generate(made.memory.begin(), made.memory.end(), [&] { return static_cast<std::byte>(random()); });
    return made;
}

void copy_one_by_one(array& to, array& from, const std::vector<std::size_t>& shape, std::size_t element_bytes) {
    std::size_t elements = 1;
    for (const std::size_t extent : shape) {
        elements *= extent;
    }
    for (std::size_t element = 0; element < elements; ++element) {
        std::ptrdiff_t at_to = to.first;
        std::ptrdiff_t at_from = from.first;
        std::size_t left = element;
        for (std::size_t axis = shape.size(); axis-- > 0;) {
            const auto index = static_cast<std::ptrdiff_t>(left % shape[axis]);
            left /= shape[axis];
            at_to += index * to.strides[axis];
            at_from += index * from.strides[axis];
        }
        std::memcpy(to.memory.data() + at_to, from.memory.data() + at_from, element_bytes);
    }
}

TEST(copy_strided, copies_every_element_to_its_place_and_nothing_beside_them) {
    std::mt19937 random{20231};
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::size_t> shape(random() % 5);
        for (std::size_t& extent : shape) {
            extent = random() % (shape.size() > 2 ? 6 : 80);
        }
        constexpr std::size_t element_sizes[] = {1, 2, 3, 4, 8, 12, 16, 24};
        const std::size_t element_bytes = element_sizes[random() % std::size(element_sizes)];
        array to = random_array(shape, element_bytes, random);
        array from = random_array(shape, element_bytes, random);
        array expected = to;
        copy_one_by_one(expected, from, shape, element_bytes);
        copy_strided(to.start(), from.start(), {element_bytes, shape, to.strides, from.strides});
        ASSERT_EQ(to.memory, expected.memory) << "round " << round;
    }
}

TEST(copy_strided, repeats_a_source_whose_stride_is_zero) {
    const std::vector<std::size_t> shape{3, 4};
    std::vector<std::byte> from{std::byte{1}, std::byte{2}, std::byte{3}};
    std::vector<std::byte> to(12);
    const std::vector<std::ptrdiff_t> rows{4, 1};
    const std::vector<std::ptrdiff_t> broadcast{1, 0};
    copy_strided(to.data(), from.data(), {1, shape, rows, broadcast});
    for (std::size_t at = 0; at < to.size(); ++at) {
        EXPECT_EQ(to[at], from[at / 4]) << at;
    }
}

TEST(copy_strided, without_axes_copies_one_element) {
    const std::vector<std::byte> from{std::byte{7}, std::byte{8}};
    std::vector<std::byte> to(2);
    copy_strided(to.data(), from.data(), {2, {}, {}, {}});
    EXPECT_EQ(to, from);
}

} // namespace
