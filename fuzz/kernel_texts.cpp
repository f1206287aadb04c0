// Texts of /proc and debugfs that doctor, list and the devices read: drivers print them, and other programs choose
// names in them. Each parser gets every text, because which file a text comes from is not in it.
#include "kernel/proc_text.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace kernel = vcsm::kernel;

namespace {

void require(bool held) {
    if (!held) {
        std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    // Nothing can come out that did not go in: a name is a part of the text.
    const auto is_of_the_text = [&](std::string_view part) { require(text.find(part) != std::string_view::npos); };
    const kernel::fdinfo_text file = kernel::parse_fdinfo(text);
    is_of_the_text(file.exporter);
    is_of_the_text(file.name);
    for (const kernel::maps_line& line : kernel::parse_maps(text)) {
        is_of_the_text(line.path);
        is_of_the_text(line.permissions);
    }
    for (const std::string& board : kernel::parse_compatible(text)) {
        is_of_the_text(board);
        require(board.find('\0') == std::string::npos);
    }
    for (const kernel::vcsm_cma_resource& block : kernel::parse_vcsm_cma_state(text)) {
        is_of_the_text(block.name);
    }
    for (const kernel::bufinfo_line& line : kernel::parse_bufinfo(text)) {
        is_of_the_text(line.exporter);
    }
    (void)kernel::meminfo_bytes(text, "CmaFree");
    is_of_the_text(kernel::value_of(text, "exp_name"));
    (void)kernel::parse_number(text);
    (void)kernel::parse_number(text, 16);
    return 0;
}
