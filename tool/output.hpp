// What the command prints: on standard output, whole or not at all.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tool {

/// Writes `text` to standard output. Throws tool::failed where that fails, as on a full disk.
void print(std::string_view text);

/// Lines of "  label   value", the values under one another.
[[nodiscard]] std::string listed(const std::vector<std::pair<std::string, std::string>>& rows);

/// A name that others chose, fit for a terminal: control characters become '?'.
[[nodiscard]] std::string printable(std::string_view text);

/// Columns under one another; the first row is the heading.
[[nodiscard]] std::string table(const std::vector<std::vector<std::string>>& rows);

} // namespace tool
