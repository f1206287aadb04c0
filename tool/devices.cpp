// `vcsm devices`: what the library can use here, and what it would use.
#include "command.hpp"
#include "output.hpp"

#include <vcsm/vcsm.hpp>

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace tool {

namespace {

std::string as_json(const std::vector<vcsm::device_info>& known) {
    auto all = nlohmann::ordered_json::array();
    for (const vcsm::device_info& one : known) {
        all.push_back({{"name", one.name},
                       {"node", one.node},
                       {"usable", one.usable},
                       {"why", one.why},
                       {"chosen", one.chosen},
                       {"videocore_handle", one.videocore_handle},
                       {"bus_address", one.bus_address},
                       {"dmabuf", one.dmabuf},
                       {"host_cache", one.host_cache}});
    }
    return all.dump(2) + "\n";
}

std::string as_table(const std::vector<vcsm::device_info>& known) {
    std::vector<std::vector<std::string>> rows{
        {"", "device", "node", "usable", "VideoCore handle", "bus address", "dma-buf", "host cache", "why not"}};
    const auto word = [](bool yes) { return std::string{yes ? "yes" : "no"}; };
    bool any = false;
    for (const vcsm::device_info& one : known) {
        any = any || one.chosen;
        rows.push_back({one.chosen ? "*" : "", one.name, one.node.empty() ? "-" : one.node, word(one.usable),
                        word(one.videocore_handle), word(one.bus_address), word(one.dmabuf), word(one.host_cache),
                        one.why});
    }
    return table(rows) +
           (any ? "\n* would be used. Another: VCSM_DEVICE=NAME, or --device NAME.\n" : "\nNone would be used.\n");
}

} // namespace

void add_devices(CLI::App& app) {
    auto* const command =
        app.add_subcommand("devices", "Lists the devices that vcsm knows, and which one it would use");
    command->footer("The order is that in which they would be chosen. Nothing is allocated.\n\n"
                    "Examples:\n  vcsm devices\n  vcsm devices --json");
    const auto json = std::make_shared<bool>(false);
    command->add_flag("--json", *json, "print a list of objects instead of a table");
    command->callback([json] {
        const std::vector<vcsm::device_info> known = vcsm::devices();
        print(*json ? as_json(known) : as_table(known));
    });
}

} // namespace tool
