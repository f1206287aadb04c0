// What files of /proc and /sys say, as values. Pure functions: text in, values out, whatever the text; what is not
// there or cannot be read as it should is left empty.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vcsm::kernel {

/// What /proc/PID/fdinfo/FD says of a dma-buf: `exporter` is empty for every other file.
struct fdinfo_text {
    std::optional<std::uint64_t> flags; ///< as open() took them
    std::optional<std::uint64_t> inode;
    std::optional<std::uint64_t> size; ///< in bytes
    std::optional<std::uint64_t> count;
    std::string exporter;
    std::string name;
};
/// Exported for the C library, as read_text() is.
[[nodiscard, gnu::visibility("default")]] fdinfo_text parse_fdinfo(std::string_view text);

/// One line of /proc/PID/maps.
struct maps_line {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::string permissions; ///< "rw-s"
    std::uint64_t offset = 0;
    std::string device; ///< "00:0c"
    std::uint64_t inode = 0;
    std::string path;
};
/// The lines that are whole; others are left out.
[[nodiscard]] std::vector<maps_line> parse_maps(std::string_view text);

/// A line of /proc/meminfo ("CmaFree", without the colon), in bytes; empty where there is none.
[[nodiscard]] std::optional<std::uint64_t> meminfo_bytes(std::string_view text, std::string_view key);

/// The strings of /proc/device-tree/compatible, which end with a NUL each.
[[nodiscard]] std::vector<std::string> parse_compatible(std::string_view text);

/// The value of a `key:` at the beginning of a line, without white space around it; empty where there is none.
[[nodiscard]] std::string_view value_of(std::string_view text, std::string_view key);

/// An unsigned number of this base that fills the whole text; "0x" may stand before base 16.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text, int base = 10);

/// One resource in /sys/kernel/debug/vcsm-cma/state.
struct vcsm_cma_resource {
    std::string name;
    std::uint64_t size = 0; ///< in bytes
    bool imported = false;
    std::uint64_t bus_address = 0;
    std::uint32_t videocore_handle = 0;
    bool freed = false; ///< VideoCore alone still holds it
};
[[nodiscard]] std::vector<vcsm_cma_resource> parse_vcsm_cma_state(std::string_view text);

/// One line of /sys/kernel/debug/dma_buf/bufinfo.
struct bufinfo_line {
    std::uint64_t size = 0; ///< in bytes
    std::uint64_t count = 0;
    std::string exporter;
    std::uint64_t inode = 0;
    std::string name;
};
[[nodiscard]] std::vector<bufinfo_line> parse_bufinfo(std::string_view text);

} // namespace vcsm::kernel
