// `vcsm list`: every shared block on this machine that this user may see.
#include "command.hpp"
#include "output.hpp"

#include <vcsm/processes.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tool {

namespace {

using nlohmann::ordered_json;

struct total {
    pid_t process = 0;
    std::string command;
    std::size_t blocks = 0;
    std::uint64_t bytes = 0;
};

std::vector<total> totals_of(const std::vector<vcsm::held_block>& held) {
    std::vector<total> totals;
    for (const vcsm::held_block& each : held) {
        auto found =
            std::find_if(totals.begin(), totals.end(), [&](const total& one) { return one.process == each.process; });
        if (found == totals.end()) {
            totals.push_back({each.process, each.command, 0, 0});
            found = std::prev(totals.end());
        }
        ++found->blocks;
        found->bytes += each.bytes;
    }
    return totals;
}

/// All blocks, each once, however many processes hold it.
std::pair<std::size_t, std::uint64_t> sum_of(const std::vector<vcsm::held_block>& held) {
    std::map<std::uint64_t, std::uint64_t> bytes_of;
    for (const vcsm::held_block& each : held) {
        bytes_of[each.inode] = std::max(bytes_of[each.inode], each.bytes);
    }
    std::uint64_t sum = 0;
    for (const auto& [inode, bytes] : bytes_of) {
        sum += bytes;
    }
    return {bytes_of.size(), sum};
}

std::string as_json(const vcsm::shared_blocks& found) {
    ordered_json blocks = ordered_json::array();
    for (const vcsm::held_block& each : found.held) {
        ordered_json block{{"process", each.process},
                           {"command", each.command},
                           {"name", each.name},
                           {"bytes", each.bytes},
                           {"exporter", each.exporter},
                           {"inode", each.inode},
                           {"descriptors", each.descriptors},
                           {"mapped_bytes", each.mapped_bytes}};
        if (each.videocore_handle) {
            block["videocore_handle"] = *each.videocore_handle;
            block["bus_address"] = each.bus_address.value_or(0);
        }
        blocks.push_back(std::move(block));
    }
    ordered_json totals = ordered_json::array();
    for (const total& each : totals_of(found.held)) {
        totals.push_back(
            {{"process", each.process}, {"command", each.command}, {"blocks", each.blocks}, {"bytes", each.bytes}});
    }
    ordered_json videocores = ordered_json::array();
    for (const vcsm::videocore_block& each : found.videocores) {
        videocores.push_back({{"videocore_handle", each.videocore_handle},
                              {"name", each.name},
                              {"bytes", each.bytes},
                              {"bus_address", each.bus_address},
                              {"imported", each.imported},
                              {"freed", each.freed}});
    }
    const auto [count, bytes] = sum_of(found.held);
    const ordered_json all{{"blocks", std::move(blocks)},        {"totals", std::move(totals)},
                           {"distinct_blocks", count},           {"distinct_bytes", bytes},
                           {"videocore", std::move(videocores)}, {"unseen_processes", found.unseen_processes},
                           {"complete", found.complete}};
    return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string or_dash(const std::string& text) {
    return text.empty() ? "-" : text;
}

std::string as_text(const vcsm::shared_blocks& found) {
    std::string text;
    if (found.held.empty()) {
        text += "no shared blocks\n";
    } else {
        std::vector<std::vector<std::string>> rows{
            {"process", "command", "name", "bytes", "exporter", "descriptors", "mapped", "VideoCore handle"}};
        for (const vcsm::held_block& each : found.held) {
            rows.push_back({each.process == 0 ? "-" : std::to_string(each.process), or_dash(printable(each.command)),
                            or_dash(printable(each.name)), std::to_string(each.bytes), or_dash(each.exporter),
                            or_dash(fmt::format("{}", fmt::join(each.descriptors, ","))),
                            each.mapped_bytes == 0 ? "-" : std::to_string(each.mapped_bytes),
                            each.videocore_handle ? std::to_string(*each.videocore_handle) : "-"});
        }
        text += table(rows) + "\n";
        for (const total& each : totals_of(found.held)) {
            text += each.process == 0 ? fmt::format("held by the kernel or by unseen processes: {} blocks, {} bytes\n",
                                                    each.blocks, each.bytes)
                                      : fmt::format("process {} ({}): {} blocks, {} bytes\n", each.process,
                                                    printable(each.command), each.blocks, each.bytes);
        }
        const auto [count, bytes] = sum_of(found.held);
        text += fmt::format("in all, each counted once: {} blocks, {} bytes\n", count, bytes);
    }
    if (!found.videocores.empty()) {
        std::vector<std::vector<std::string>> rows{{"VideoCore handle", "name", "bytes", "bus address", "state"}};
        for (const vcsm::videocore_block& each : found.videocores) {
            rows.push_back({std::to_string(each.videocore_handle), printable(each.name), std::to_string(each.bytes),
                            fmt::format("{:#x}", each.bus_address),
                            each.freed      ? "freed, VideoCore holds it"
                            : each.imported ? "imported"
                                            : "allocated"});
        }
        text += "\nVideoCore knows:\n" + table(rows);
    }
    if (found.unseen_processes != 0) {
        text += fmt::format("{} processes of other users could not be looked into (sudo shows all)\n",
                            found.unseen_processes);
    }
    return text;
}

} // namespace

void add_list(CLI::App& app) {
    auto* const command = app.add_subcommand("list", "Lists the shared blocks of this machine's processes");
    command->footer(
        "Looks through /proc, and as root also at the kernel's own lists in /sys/kernel/debug: then blocks that no\n"
        "process holds any more, and VideoCore's handles, are among them. The simulated VideoCore's blocks are not: "
        "each\n"
        "process has its own. Nothing is changed.\n\n"
        "Examples:\n  vcsm list\n  sudo vcsm list --json");
    const auto json = std::make_shared<bool>(false);
    command->add_flag("--json", *json, "print one JSON object instead of tables");
    command->callback([json] {
        const vcsm::shared_blocks found = vcsm::list_shared_blocks();
        print(*json ? as_json(found) : as_text(found));
    });
}

} // namespace tool
