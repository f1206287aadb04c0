#include "report.hpp"

#include <nlohmann/json.hpp>

namespace vcsm::sim {

namespace {

nlohmann::ordered_json json_of(const std::vector<finding>& list) {
    auto array = nlohmann::ordered_json::array();
    for (const finding& each : list) {
        nlohmann::ordered_json item{{"process", each.process},
                                    {"pid", each.pid},
                                    {"name", each.name},
                                    {"bytes", each.bytes},
                                    {"videocore_handle", each.videocore_handle},
                                    {"call", each.call}};
        if (!each.detail.empty()) {
            item["detail"] = each.detail;
        }
        array.push_back(std::move(item));
    }
    return array;
}

void list(std::ostream& out, const std::vector<finding>& findings, const char* what) {
    if (findings.empty()) {
        return;
    }
    out << "vcsm-sim: " << what << ": " << findings.size() << '\n';
    for (const finding& each : findings) {
        out << "vcsm-sim:   " << each.call;
        if (each.bytes != 0) {
            out << ", " << each.bytes << " bytes";
        }
        if (!each.name.empty()) {
            out << " \"" << each.name << '"';
        }
        if (each.videocore_handle != 0) {
            out << ", VideoCore handle " << each.videocore_handle;
        }
        out << ", by " << each.process << " (" << each.pid << ')';
        if (!each.detail.empty()) {
            out << ": " << each.detail;
        }
        out << '\n';
    }
}

} // namespace

void write_json(std::ostream& out, const report& what) {
    nlohmann::ordered_json all;
    all["leaks"] = json_of(what.leaks);
    all["killed"] = json_of(what.killed);
    all["closed_by_exec"] = json_of(what.closed_by_exec);
    all["kernel_crashes"] = json_of(what.kernel_crashes);
    all["unsynced"] = json_of(what.unsynced);
    all["errors"] = json_of(what.errors);
    all["peak_bytes"] = what.peak_bytes;
    all["calls"] = what.calls;
    all["fragmentation"] = what.fragmentation;
    // Names are bytes as the program gave them; what is no UTF-8 is shown as U+FFFD.
    out << all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

void write_text(std::ostream& out, const report& what) {
    list(out, what.leaks, "blocks that were never closed");
    list(out, what.killed, "blocks of processes that a signal ended");
    list(out, what.kernel_crashes, "calls that would have crashed a board's kernel");
    list(out, what.unsynced, "writes that never reached VideoCore, for want of DMA_BUF_IOCTL_SYNC");
}

} // namespace vcsm::sim
