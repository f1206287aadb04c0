// The picture of what was measured, drawn by gnuplot.
#pragma once

#include "measure.hpp"

#include <string>
#include <vector>

namespace tool::bench {

/// Writes `file`, whose name ends in .svg or .png. Throws tool::usage_error for another name, tool::failed where
/// gnuplot is missing or fails.
void plot(const std::vector<row>& rows, const std::string& device, const std::string& file);
/// Throws tool::usage_error for a name that plot() would refuse.
void check_plot_name(const std::string& file);

} // namespace tool::bench
