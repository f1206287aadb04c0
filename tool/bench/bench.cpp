// `vcsm bench`: how fast this machine's VideoCore memory is, beside the limit on the same machine.
#include "../command.hpp"
#include "../interrupt.hpp"
#include "../output.hpp"
#include "measure.hpp"
#include "plot.hpp"
#include "work.hpp"

#include <vcsm/vcsm.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace tool {

namespace {

using bench::row;

struct bench_options {
    std::string device;
    bool quick = false;
    std::string json;
    std::string plot;
    bool check = false;
    std::string only;
};

// A failing row is noise until it has failed so often.
constexpr unsigned repeats = 8;

class progress_line {
  public:
    explicit progress_line(std::size_t total) : total_{total}, terminal_{::isatty(STDERR_FILENO) == 1} {}
    progress_line(const progress_line&) = delete;
    progress_line& operator=(const progress_line&) = delete;
    ~progress_line() {
        if (terminal_) {
            std::fputs("\r\033[K", stderr);
        }
    }
    void at(std::size_t done, const bench::comparison& what) const {
        if (terminal_) {
            std::fputs(fmt::format("\r\033[K[{}/{}] {}, {} bytes", done + 1, total_, what.work, what.bytes).c_str(),
                       stderr);
            std::fflush(stderr);
        }
    }

  private:
    std::size_t total_;
    bool terminal_;
};

std::string size_shown(std::size_t bytes) {
    if (bytes >= (1U << 20) && bytes % (1U << 20) == 0) {
        return fmt::format("{} MiB", bytes >> 20);
    }
    return bytes % 1024 == 0 ? fmt::format("{} KiB", bytes >> 10) : fmt::format("{} B", bytes);
}

std::string time_shown(double ns) {
    return ns <= 0      ? "-"
           : ns < 1e3   ? fmt::format("{:.1f} ns", ns)
           : ns < 999e3 ? fmt::format("{:.1f} us", ns / 1e3)
                        : fmt::format("{:.2f} ms", ns / 1e6);
}

std::string as_table(const std::vector<row>& rows) {
    std::vector<std::vector<std::string>> shown{
        {"work", "size", "threads", "ours", "limit", "ratio", "spread", "wanted", "", "the limit is"}};
    for (const row& each : rows) {
        std::string wanted = each.at_least > 0 ? fmt::format("{:.2f}", each.at_least) : "";
        if (each.at_most_ns > 0) {
            wanted += fmt::format(", < {:.0f} ns", each.at_most_ns);
        }
        shown.push_back({each.work, size_shown(each.bytes), std::to_string(each.threads), time_shown(each.ours_ns),
                         time_shown(each.limit_ns), each.limit_ns > 0 ? fmt::format("{:.2f}", each.ratio) : "-",
                         each.limit_ns > 0 ? fmt::format("{:.2f}", each.spread) : "-", wanted,
                         !each.is_checked() ? ""
                         : each.passes()    ? "ok"
                                            : "FAILS",
                         each.limit_is});
    }
    return table(shown);
}

std::string as_json(const std::vector<row>& rows) {
    auto all = nlohmann::ordered_json::array();
    for (const row& each : rows) {
        nlohmann::ordered_json one{{"work", each.work},       {"bytes", each.bytes},       {"threads", each.threads},
                                   {"ours_ns", each.ours_ns}, {"limit_ns", each.limit_ns}, {"ratio", each.ratio},
                                   {"spread", each.spread},   {"limit_is", each.limit_is}};
        if (each.is_checked()) {
            one["at_least"] = each.at_least;
            one["passes"] = each.passes();
        }
        all.push_back(std::move(one));
    }
    return all.dump(2) + "\n";
}

void write_file(const std::string& path, const std::string& text) {
    if (path == "-") {
        print(text);
        return;
    }
    std::FILE* const file = std::fopen(path.c_str(), "we");
    const bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    const int reason = errno;
    if ((file != nullptr && std::fclose(file) != 0) || !written) {
        throw failed{"cannot write " + path + ": " + std::generic_category().message(written ? errno : reason)};
    }
}

std::optional<row> measured(const bench::maker& make, std::chrono::milliseconds budget, const progress_line& shown,
                            std::size_t at, const std::string& only) {
    const bench::comparison what = make();
    if (what.work.find(only) == std::string::npos) {
        return std::nullopt;
    }
    shown.at(at, what);
    row found = bench::measure(what, budget);
    for (unsigned again = 1; again <= repeats && !found.passes(); ++again) {
        found = bench::measure(what, budget * 2);
        found.repeated = again;
    }
    return found;
}

void run(const bench_options& options) {
    if (!options.plot.empty()) {
        bench::check_plot_name(options.plot);
    }
    // Room for a hundred thousand blocks of 4 KiB and a million smaller ones, of which hardly one is touched.
    ::setenv("VCSM_SIM_MEMORY", "1G", 0); // NOLINT(concurrency-mt-unsafe): there is one thread
    note_interrupts();
    use_device(options.device);
    vcsm::start_service();
    const bench::plan all = bench::plan_for_device(options.quick);
    std::vector<bench::maker> wanted = all.checked;
    if (!options.check) {
        wanted.insert(wanted.end(), all.others.begin(), all.others.end());
    }
    const std::chrono::milliseconds budget{options.quick ? 100 : 500};
    std::vector<row> rows;
    std::vector<std::string> left_out;
    {
        const progress_line shown{wanted.size()};
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            try {
                if (auto one = measured(wanted[i], budget, shown, i, options.only)) {
                    rows.push_back(std::move(*one));
                }
            } catch (const vcsm::error& refused) { // no room, or more than a block of the driver may have
                if (options.check) {
                    throw;
                }
                left_out.emplace_back(refused.what());
            }
        }
    }
    if (rows.empty()) {
        throw failed{"no row's work has \"" + options.only + "\" in its name; without --only the table shows them all"};
    }
    const std::string device{vcsm::shared_memory{1, "bench"}.device()};
    if (options.json != "-") {
        print("On " + device + "; times are medians, ratio is limit / ours, spread the distance of its quartiles.\n\n" +
              as_table(rows));
    }
    for (const std::string& each : left_out) {
        std::fprintf(stderr, "vcsm: a row was left out: %s\n", each.c_str());
    }
    if (!options.json.empty()) {
        write_file(options.json, as_json(rows));
    }
    if (!options.plot.empty()) {
        bench::plot(rows, device, options.plot);
    }
    std::size_t failing = 0;
    for (const row& each : rows) {
        failing += each.passes() ? 0 : 1;
    }
    if (options.check && failing > 0) {
        throw failed{fmt::format("{} of {} rows are slower than wanted, also when repeated", failing, rows.size())};
    }
}

} // namespace

void add_bench(CLI::App& app) {
    auto* const command =
        app.add_subcommand("bench", "Measures allocation, copies, locks and pools beside their limits");
    command->footer(
        "Each row is measured in turn with its limit on the same machine: memcpy, or the system calls that\n"
        "a program makes by hand. Without --check all rows are measured, which takes a minute.\n\n"
        "Examples:\n  vcsm bench --quick\n  vcsm bench --json results.json --plot results.svg\n"
        "  vcsm bench --device dma-heap --check\n  vcsm bench --only ring");
    const auto options = std::make_shared<bench_options>();
    command->add_option("--device", options->device, "the device to measure ('vcsm devices' lists them)");
    command->add_flag("--quick", options->quick, "fewer sizes, less time for each");
    command->add_option("--json", options->json, "write the rows to this file as well; -: to standard output instead");
    command->add_option("--plot", options->plot, "draw them to this file (.svg or .png) with gnuplot");
    command->add_flag("--check", options->check, "only the rows with a wanted ratio; exit status 1 if one misses it");
    command->add_option("--only", options->only, "only the rows whose work has this in its name");
    command->callback([options] { run(*options); });
}

} // namespace tool
