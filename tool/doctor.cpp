// `vcsm doctor`: what this machine has, what would be used, what is wrong and what mends it.
#include "command.hpp"
#include "output.hpp"

#include <vcsm/doctor.hpp>

#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tool {

namespace {

using nlohmann::ordered_json;

ordered_json number_or_null(const std::optional<std::uint64_t>& number) {
    return number ? ordered_json(*number) : ordered_json(nullptr);
}

std::string as_json(const vcsm::examination& found) {
    ordered_json nodes = ordered_json::array();
    for (const vcsm::node_info& each : found.nodes) {
        nodes.push_back({{"path", each.path},
                         {"target", each.target},
                         {"there", each.there},
                         {"owner", each.owner},
                         {"group", each.group},
                         {"mode", fmt::format("{:04o}", each.mode)},
                         {"can_be_opened", each.can_be_opened},
                         {"why_not", each.why_not == 0 ? "" : std::generic_category().message(each.why_not)}});
    }
    ordered_json devices = ordered_json::array();
    for (const vcsm::device_info& each : found.devices) {
        devices.push_back({{"name", each.name}, {"usable", each.usable}, {"why", each.why}, {"chosen", each.chosen}});
    }
    ordered_json complaints = ordered_json::array();
    for (const vcsm::complaint& each : found.complaints) {
        complaints.push_back({{"what", each.what}, {"mend", each.mend}});
    }
    const ordered_json all{{"usable", !found.device.empty()},
                           {"device", found.device},
                           {"raspberry_pi", found.raspberry_pi},
                           {"board", found.board},
                           {"kernel", found.kernel},
                           {"program_bits", found.program_bits},
                           {"page_size", found.page_size},
                           {"user", found.user},
                           {"groups", found.groups},
                           {"nodes", std::move(nodes)},
                           {"contiguous_total", number_or_null(found.contiguous_total)},
                           {"contiguous_free", number_or_null(found.contiguous_free)},
                           {"largest_block", number_or_null(found.largest_block)},
                           {"gpu_memory", number_or_null(found.gpu_memory)},
                           {"devices", std::move(devices)},
                           {"complaints", std::move(complaints)}};
    return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string bytes_or(const std::optional<std::uint64_t>& bytes, const char* otherwise) {
    return bytes ? fmt::format("{} bytes", *bytes) : otherwise;
}

std::string as_text(const vcsm::examination& found) {
    std::string board = found.board.empty() ? "(no device tree)" : printable(found.board);
    if (!found.raspberry_pi) {
        board += ", no Raspberry Pi";
    }
    std::string text = listed({{"board", board},
                               {"kernel", printable(found.kernel)},
                               {"page size", fmt::format("{} bytes", found.page_size)},
                               {"this program", fmt::format("{} bits", found.program_bits)},
                               {"user", found.user},
                               {"groups", fmt::format("{}", fmt::join(found.groups, " "))},
                               {"contiguous memory", bytes_or(found.contiguous_total, "none")},
                               {"  free of it", bytes_or(found.contiguous_free, "unknown")},
                               {"  largest block", bytes_or(found.largest_block, "unknown: no contiguous heap to try")},
                               {"GPU's memory", bytes_or(found.gpu_memory, "unknown: the firmware cannot be asked")}});
    std::vector<std::vector<std::string>> rows{{"node", "owner", "group", "mode", "may be opened"}};
    for (const vcsm::node_info& each : found.nodes) {
        const std::string path = each.target.empty() ? each.path : each.path + " -> " + each.target;
        if (!each.there) {
            rows.push_back({path, "-", "-", "-", "not there"});
        } else {
            rows.push_back({path, each.owner, each.group, fmt::format("{:04o}", each.mode),
                            each.can_be_opened ? "yes" : "no: " + std::generic_category().message(each.why_not)});
        }
    }
    text += "\n" + table(rows) + "\n";
    text += found.device.empty() ? "No device can be used.\n"
                                 : fmt::format("{} would be used ('vcsm devices' tells why).\n", found.device);
    for (const vcsm::complaint& each : found.complaints) {
        text += fmt::format("\nWrong: {}\n Mend: {}\n", each.what, each.mend);
    }
    if (found.complaints.empty()) {
        text += "Nothing is wrong.\n";
    }
    return text;
}

} // namespace

void add_doctor(CLI::App& app) {
    auto* const command =
        app.add_subcommand("doctor", "Tells what this machine has for shared memory, and what mends what is wrong");
    command->footer("Changes nothing. Exit status: 0 if a device can be used, else 1.\n\n"
                    "Examples:\n  vcsm doctor\n  vcsm doctor --json");
    const auto json = std::make_shared<bool>(false);
    command->add_flag("--json", *json, "print one JSON object instead of text");
    command->callback([json] {
        const vcsm::examination found = vcsm::examine();
        print(*json ? as_json(found) : as_text(found));
        if (found.device.empty()) {
            throw failed{"no device can be used"};
        }
    });
}

} // namespace tool
