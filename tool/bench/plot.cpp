#include "plot.hpp"

#include "../command.hpp"

#include <cerrno>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <system_error>

#include <fmt/format.h>
#include <sys/wait.h>

namespace tool::bench {

namespace {

// One line of a panel: its title and its points.
struct line {
    std::string title;
    std::string style;
    std::vector<std::pair<double, double>> points;
};

std::string quoted(const std::string& text) {
    std::string made = "\"";
    for (const char each : text) {
        made += each == '"' || each == '\\' ? std::string{"\\"} + each : std::string{each};
    }
    return made + "\"";
}

constexpr const char* dashed = "lines dashtype 2 linewidth 2";
constexpr const char* solid = "linespoints pointtype 7 linewidth 2";

void draw(std::string& script, const std::string& title, const std::string& x, const std::string& y, bool log_y,
          const std::vector<line>& lines) {
    // Seconds are shown as gnuplot shortens them: 10 ns, 10 us.
    script += y == "time" ? "set format y \"%.0s %cs\"\n" : "set format y \"%g\"\n";
    script += fmt::format("set title {}\nset xlabel {}\nset ylabel {}\nset logscale x\n{}\n", quoted(title), quoted(x),
                          quoted(y), log_y ? "set yrange [*:*]\nset logscale y" : "unset logscale y\nset yrange [0:*]");
    std::string drawn;
    for (const line& each : lines) {
        if (each.points.empty()) {
            continue;
        }
        const std::string name = fmt::format("$d{}", script.size());
        script += name + " << END\n";
        for (const auto& [at, value] : each.points) {
            script += fmt::format("{} {}\n", at, value);
        }
        script += "END\n";
        drawn += fmt::format("{}{} using 1:2 with {} title {}", drawn.empty() ? "" : ", ", name, each.style,
                             quoted(each.title));
    }
    script += drawn.empty() ? "set multiplot next\n" : "plot " + drawn + "\n";
}

std::vector<std::pair<double, double>> points(const std::vector<row>& rows, const std::string& work,
                                              const std::function<double(const row&)>& value) {
    std::map<double, double> sorted;
    for (const row& each : rows) {
        if (each.work == work && each.threads == 1) {
            sorted[static_cast<double>(each.bytes)] = value(each);
        }
    }
    return {sorted.begin(), sorted.end()};
}

double gib_per_second(std::size_t bytes, double ns) {
    return static_cast<double>(bytes) / ns * 1e9 / (1024.0 * 1024 * 1024);
}

std::string script_of(const std::vector<row>& rows, const std::string& device, const std::string& file) {
    const bool svg = file.ends_with(".svg");
    std::string script =
        fmt::format("set terminal {} size 1400,1000 font \"Sans,{}\"\nset output {}\n",
                    svg ? "svg enhanced background \"white\"" : "pngcairo noenhanced", svg ? 14 : 12, quoted(file));
    script += svg ? "set termoption noenhanced\n" : "";
    script += "set encoding utf8\nset grid\nset key below\nset bmargin 8\nset format x \"%.0s%c\"\n";
    script += fmt::format("set multiplot layout 2,2 title {}\n", quoted("vcsm bench on " + device));

    const auto ours_speed = [](const row& each) { return gib_per_second(each.bytes, each.ours_ns); };
    const auto limit_speed = [](const row& each) { return gib_per_second(each.bytes, each.limit_ns); };
    const auto ours = [](const row& each) { return each.ours_ns * 1e-9; };
    const auto limit = [](const row& each) { return each.limit_ns * 1e-9; };

    draw(script, "Copies, host-uncached and host-cached", "bytes", "GiB/s", false,
         {{"limit: memcpy", dashed, points(rows, "copy in, cache none", limit_speed)},
          {"in, cache none", solid, points(rows, "copy in, cache none", ours_speed)},
          {"out, cache none", solid, points(rows, "copy out, cache none", ours_speed)},
          {"in, cache host", solid, points(rows, "copy in, cache host", ours_speed)},
          {"out, cache host", solid, points(rows, "copy out, cache host", ours_speed)}});
    draw(script, "Allocate and free", "bytes", "time", true,
         {{"limit: the system calls by hand", dashed, points(rows, "fresh block: allocate + free", limit)},
          {"fresh block", solid, points(rows, "fresh block: allocate + free", ours)},
          {"pool", solid, points(rows, "pool: allocate + free", ours)}});
    draw(script, "Allocate, fill and free", "bytes", "time", true,
         {{"limit: the system calls and memcpy by hand", dashed, points(rows, "fresh block, filled", limit)},
          {"fresh block", solid, points(rows, "fresh block, filled", ours)}});
    const auto among = [&rows](const std::string& before, const std::string& after,
                               const std::function<double(const row&)>& value) {
        std::vector<std::pair<double, double>> found;
        for (std::size_t blocks = 1; blocks <= 1000000; blocks *= 10) {
            for (const row& each : rows) {
                if (each.work == before + std::to_string(blocks) + after) {
                    found.emplace_back(static_cast<double>(blocks), value(each));
                    break;
                }
            }
        }
        return found;
    };
    const std::string crowded = "pool: allocate + free, ";
    const std::string fragmented = "pool: 2000 blocks up to 8 KiB, among ";
    draw(script, "Pool: allocate and free among live blocks", "live blocks", "time", false,
         {{"limit: an empty pool", dashed, among(crowded, " live", limit)},
          {"4 KiB", solid, among(crowded, " live", ours)},
          {"limit: an empty pool, up to 8 KiB", dashed, among(fragmented, " holes", limit)},
          {"up to 8 KiB, among as many holes", solid, among(fragmented, " holes", ours)}});
    return script + "unset multiplot\n";
}

} // namespace

void check_plot_name(const std::string& file) {
    if (!file.ends_with(".svg") && !file.ends_with(".png")) {
        throw usage_error{"cannot plot to \"" + file + "\": its name must end in .svg or .png"};
    }
}

void plot(const std::vector<row>& rows, const std::string& device, const std::string& file) {
    check_plot_name(file);
    const std::string script = script_of(rows, device, file);
    std::FILE* const gnuplot = ::popen("gnuplot", "we");
    if (gnuplot == nullptr) {
        throw failed{"cannot start gnuplot: " + std::generic_category().message(errno)};
    }
    const bool written = std::fwrite(script.data(), 1, script.size(), gnuplot) == script.size();
    const int status = ::pclose(gnuplot);
    if (!written || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        throw failed{"cannot plot to " + file + ": gnuplot failed, or is missing (the package gnuplot-nox has it)"};
    }
}

} // namespace tool::bench
