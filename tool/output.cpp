#include "output.hpp"

#include "command.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

namespace tool {

void print(std::string_view text) {
    while (!text.empty()) {
        const ssize_t put = ::write(STDOUT_FILENO, text.data(), text.size());
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            throw failed{fmt::format("cannot write to standard output: {}", std::generic_category().message(errno))};
        }
        text.remove_prefix(static_cast<std::size_t>(put));
    }
}

std::string listed(const std::vector<std::pair<std::string, std::string>>& rows) {
    std::size_t widest = 0;
    for (const auto& [label, value] : rows) {
        widest = std::max(widest, label.size());
    }
    std::string text;
    for (const auto& [label, value] : rows) {
        text += fmt::format("  {:<{}}  {}\n", label, widest, value);
    }
    return text;
}

std::string printable(std::string_view text) {
    std::string shown{text};
    std::replace_if(
        shown.begin(), shown.end(), [](char each) { return static_cast<unsigned char>(each) < ' ' || each == '\x7f'; },
        '?');
    return shown;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()), 0);
        for (std::size_t column = 0; column < row.size(); ++column) {
            widths[column] = std::max(widths[column], row[column].size());
        }
    }
    std::string text;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t column = 0; column < row.size(); ++column) {
            line += fmt::format("{:<{}}  ", row[column], widths[column]);
        }
        text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return text;
}

} // namespace tool
