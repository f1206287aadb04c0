#include "progress.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace tool {

namespace {

constexpr std::chrono::milliseconds patience{500};
constexpr std::chrono::milliseconds between{100};
constexpr std::uint64_t bar_cells = 30;
constexpr double bytes_per_mebibyte = 1 << 20;

} // namespace

progress::progress(std::string doing, std::uint64_t total)
    : doing_{std::move(doing)}, total_{total}, terminal_{::isatty(STDERR_FILENO) == 1}, next_{clock::now() + patience} {
}

progress::~progress() {
    if (drawn_) {
        std::fputs("\r\033[K", stderr);
        std::fflush(stderr);
    }
}

void progress::at(std::uint64_t bytes) {
    if (!terminal_ || clock::now() < next_) {
        return;
    }
    next_ = clock::now() + between;
    drawn_ = true;
    const double mebibytes = static_cast<double>(bytes) / bytes_per_mebibyte;
    std::string line;
    if (total_ == 0) {
        line = fmt::format("{}: {:.0f} MiB", doing_, mebibytes);
    } else {
        const std::uint64_t full = std::min(bytes, total_) * bar_cells / total_;
        line = fmt::format("{} [{:#<{}}{:.<{}}] {:3} % of {:.0f} MiB", doing_, "", full, "", bar_cells - full,
                           std::min(bytes, total_) * 100 / total_, static_cast<double>(total_) / bytes_per_mebibyte);
    }
    std::fputs(("\r" + line + "\033[K").c_str(), stderr);
    std::fflush(stderr);
}

} // namespace tool
