#include "kernel/proc_text.hpp"

#include <charconv>

namespace vcsm::kernel {

namespace {

constexpr std::string_view blanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Takes the next line off the front of `text`, without its end.
std::string_view take_line(std::string_view& text) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

/// Takes the next word off the front of `text`; empty at its end.
std::string_view take_word(std::string_view& text) {
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) {
        text = {};
        return {};
    }
    text.remove_prefix(first);
    const std::size_t end = text.find_first_of(blanks);
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(word.size());
    return word;
}

} // namespace

std::optional<std::uint64_t> parse_number(std::string_view text, int base) {
    if (base == 16 && text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text.remove_prefix(2);
    }
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const std::from_chars_result read = std::from_chars(text.data(), end, value, base);
    if (text.empty() || read.ec != std::errc{} || read.ptr != end) {
        return std::nullopt;
    }
    return value;
}

std::string_view value_of(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        if (line.size() > key.size() && line.substr(0, key.size()) == key && line[key.size()] == ':') {
            return trimmed(line.substr(key.size() + 1));
        }
    }
    return {};
}

fdinfo_text parse_fdinfo(std::string_view text) {
    fdinfo_text found;
    found.flags = parse_number(value_of(text, "flags"), 8);
    found.inode = parse_number(value_of(text, "ino"));
    found.size = parse_number(value_of(text, "size"));
    found.count = parse_number(value_of(text, "count"));
    found.exporter = value_of(text, "exp_name");
    found.name = value_of(text, "name");
    return found;
}

std::vector<maps_line> parse_maps(std::string_view text) {
    std::vector<maps_line> lines;
    while (!text.empty()) {
        std::string_view line = take_line(text);
        const std::string_view range = take_word(line);
        const std::size_t dash = range.find('-');
        const std::string_view permissions = take_word(line);
        const auto offset = parse_number(take_word(line), 16);
        const std::string_view device = take_word(line);
        const auto inode = parse_number(take_word(line));
        if (dash == std::string_view::npos || permissions.size() != 4 || !offset || !inode) {
            continue;
        }
        const auto begin = parse_number(range.substr(0, dash), 16);
        const auto end = parse_number(range.substr(dash + 1), 16);
        if (!begin || !end || *end < *begin) {
            continue;
        }
        lines.push_back(
            {*begin, *end, std::string{permissions}, *offset, std::string{device}, *inode, std::string{trimmed(line)}});
    }
    return lines;
}

std::optional<std::uint64_t> meminfo_bytes(std::string_view text, std::string_view key) {
    std::string_view value = value_of(text, key);
    const auto number = parse_number(take_word(value));
    const std::string_view unit = take_word(value);
    if (!number || (unit != "kB" && !unit.empty()) || *number > UINT64_MAX / 1024) {
        return std::nullopt;
    }
    return unit.empty() ? *number : *number * 1024;
}

std::vector<std::string> parse_compatible(std::string_view text) {
    std::vector<std::string> strings;
    while (!text.empty()) {
        const std::size_t end = text.find('\0');
        if (end != 0) {
            strings.emplace_back(text.substr(0, end));
        }
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return strings;
}

std::vector<vcsm_cma_resource> parse_vcsm_cma_state(std::string_view text) {
    std::vector<vcsm_cma_resource> resources;
    while (!text.empty()) {
        std::string_view line = take_line(text);
        const std::string_view key = take_word(line);
        const std::string_view value = trimmed(line);
        if (key == "Resource") {
            resources.emplace_back();
            continue;
        }
        if (resources.empty()) {
            continue;
        }
        vcsm_cma_resource& last = resources.back();
        if (key == "NAME") {
            last.name = value;
        } else if (key == "SIZE") {
            last.size = parse_number(value).value_or(0);
        } else if (key == "ATTACH") {
            last.imported = true;
        } else if (key == "DMA_ADDR") {
            last.bus_address = parse_number(value, 16).value_or(0);
        } else if (key == "VC_HANDLE") {
            last.videocore_handle = static_cast<std::uint32_t>(parse_number(value, 16).value_or(0));
        } else if (key == "VC_MAPPING") {
            last.freed = value == "2";
        }
    }
    return resources;
}

std::vector<bufinfo_line> parse_bufinfo(std::string_view text) {
    std::vector<bufinfo_line> lines;
    while (!text.empty()) {
        // size, flags, mode, count, exporter, inode, name: only the last may be missing
        std::string_view line = take_line(text);
        const auto size = parse_number(take_word(line));
        const auto flags = parse_number(take_word(line), 16);
        const auto mode = parse_number(take_word(line), 16);
        const auto count = parse_number(take_word(line));
        const std::string_view exporter = take_word(line);
        const auto inode = parse_number(take_word(line));
        if (!size || !flags || !mode || !count || exporter.empty() || !inode) {
            continue;
        }
        const std::string_view name = trimmed(line);
        lines.push_back({*size, *count, std::string{exporter}, *inode, name == "<none>" ? "" : std::string{name}});
    }
    return lines;
}

} // namespace vcsm::kernel
