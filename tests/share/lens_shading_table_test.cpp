// The shipped lens-shading table against the law that it is made from, computed here in another way than the script
// does.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

namespace {

constexpr std::size_t colours = 4;
constexpr std::size_t rows = 39;
constexpr std::size_t columns = 52;

class lens_shading_table : public testing::Test {
  protected:
    void SetUp() override {
        std::ifstream file{LENS_SHADING_TABLE, std::ios::binary};
        bytes_.assign(std::istreambuf_iterator<char>{file}, {});
        ASSERT_EQ(bytes_.size(), colours * rows * columns) << LENS_SHADING_TABLE;
    }

    [[nodiscard]] unsigned at(std::size_t colour, std::size_t row, std::size_t column) const {
        return static_cast<unsigned char>(bytes_[(colour * rows + row) * columns + column]);
    }

  private:
    std::string bytes_;
};

TEST_F(lens_shading_table, has_unity_gain_in_the_middle) {
    for (std::size_t colour = 0; colour < colours; ++colour) {
        EXPECT_EQ(at(colour, rows / 2, columns / 2 - 1), 32U);
        EXPECT_EQ(at(colour, rows / 2, columns / 2), 32U);
    }
}

TEST_F(lens_shading_table, is_symmetric_about_both_axes) {
    for (std::size_t colour = 0; colour < colours; ++colour) {
        for (std::size_t row = 0; row < rows; ++row) {
            for (std::size_t column = 0; column < columns; ++column) {
                ASSERT_EQ(at(colour, row, column), at(colour, rows - 1 - row, column));
                ASSERT_EQ(at(colour, row, column), at(colour, row, columns - 1 - column));
            }
        }
    }
}

TEST_F(lens_shading_table, never_falls_on_the_way_to_the_edges_and_rises_in_all) {
    for (std::size_t colour = 0; colour < colours; ++colour) {
        for (std::size_t row = 0; row < rows; ++row) {
            for (std::size_t column = columns / 2; column + 1 < columns; ++column) {
                ASSERT_LE(at(colour, row, column), at(colour, row, column + 1));
            }
            ASSERT_LT(at(colour, row, columns / 2), at(colour, row, columns - 1));
        }
        for (std::size_t column = 0; column < columns; ++column) {
            for (std::size_t row = rows / 2; row + 1 < rows; ++row) {
                ASSERT_LE(at(colour, row, column), at(colour, row + 1, column));
            }
            ASSERT_LT(at(colour, rows / 2, column), at(colour, rows - 1, column));
        }
    }
}

// Half a step for rounding; the angle is computed as an angle here, where the script stays with whole numbers.
TEST_F(lens_shading_table, undoes_the_fourth_power_of_the_cosine) {
    constexpr double cell_millimetres = 64 * 1.12e-3;
    constexpr double focal_length_millimetres = 3.04;
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t column = 0; column < columns; ++column) {
            const double x = (static_cast<double>(column) + 0.5 - columns / 2.0) * cell_millimetres;
            const double y = (static_cast<double>(row) + 0.5 - rows / 2.0) * cell_millimetres;
            const double theta = std::atan(std::hypot(x, y) / focal_length_millimetres);
            const double gain = std::min(32.0 / std::pow(std::cos(theta), 4), 255.0);
            ASSERT_NEAR(at(0, row, column), gain, 0.5 + 1e-9) << "row " << row << ", column " << column;
        }
    }
}

} // namespace
