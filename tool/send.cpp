// `vcsm send`: a file into VideoCore memory, checked from VideoCore's side.
#include "command.hpp"
#include "digest.hpp"
#include "interrupt.hpp"
#include "output.hpp"
#include "progress.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace tool {

namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;         // read, digested and compared at once
constexpr std::size_t first_stream_bytes = std::size_t{64} << 10; // a pipe's block; doubled whenever it is full

struct send_options {
    std::string file;
    std::string name;
    std::string device;
    std::string cache = "none";
    bool hold = false;
    bool json = false;
};

using clock = std::chrono::steady_clock;

struct sent {
    vcsm::shared_memory block;
    std::size_t bytes = 0;
    digest written;
    clock::duration digesting{}; // no part of the sending
};

struct verification {
    bool by_videocore = false;
    std::string sha256;
};

/// The file that is sent: an open descriptor, and its size where it has one.
class input {
  public:
    explicit input(const std::string& path) : path_{path == "-" ? "standard input" : path} {
        if (path == "-") {
            descriptor_ = STDIN_FILENO;
        } else {
            do {
                descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
                throw_if_interrupted();
            } while (descriptor_ < 0 && errno == EINTR);
            if (descriptor_ < 0) {
                fail("cannot open");
            }
        }
        struct stat status {};
        if (::fstat(descriptor_, &status) != 0) {
            fail("cannot look at");
        }
        if (S_ISDIR(status.st_mode)) {
            throw failed{fmt::format("cannot send {}: it is a directory", path_)};
        }
        // Files in /proc are regular and say 0: they are read like a pipe.
        if (S_ISREG(status.st_mode) && status.st_size > 0) {
            const off_t at = path == "-" ? std::max<off_t>(::lseek(descriptor_, 0, SEEK_CUR), 0) : 0;
            size_ = static_cast<std::size_t>(std::max<off_t>(status.st_size - at, 0));
        }
    }
    input(const input&) = delete;
    input& operator=(const input&) = delete;
    ~input() {
        if (descriptor_ > STDERR_FILENO) {
            ::close(descriptor_);
        }
    }

    /// In bytes; 0 where it is not known.
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] const std::string& path() const { return path_; }

    /// As much as comes at once, straight into `target`; 0 at the end.
    [[nodiscard]] std::size_t read(std::span<std::byte> target) const {
        for (;;) {
            const ssize_t got = ::read(descriptor_, target.data(), std::min(target.size(), piece_bytes));
            throw_if_interrupted();
            if (got >= 0) {
                return static_cast<std::size_t>(got);
            }
            if (errno != EINTR && errno != EAGAIN) {
                fail("cannot read");
            }
        }
    }

  private:
    [[noreturn]] void fail(const char* what) const {
        throw failed{fmt::format("{} {}: {}", what, path_, std::generic_category().message(errno))};
    }

    std::string path_;
    int descriptor_ = -1;
    std::size_t size_ = 0;
};

// Fills `target` from the file; fewer bytes only at the file's end.
std::size_t fill(const input& from, std::span<std::byte> target, std::size_t before, progress& shown) {
    std::size_t filled = 0;
    while (filled < target.size()) {
        const std::size_t got = from.read(target.subspan(filled));
        if (got == 0) {
            break;
        }
        filled += got;
        shown.at(before + filled);
    }
    return filled;
}

// The digest of a locked block's first bytes, cut into pieces as the reading back cuts them.
digest digest_of(std::span<const std::byte> bytes) {
    digest taken;
    for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
        throw_if_interrupted();
        taken.add(bytes.subspan(at, std::min(piece_bytes, bytes.size() - at)));
    }
    return taken;
}

void digest_written(sent& done, std::span<const std::byte> view) {
    const auto start = clock::now();
    done.written = digest_of(view);
    done.digesting = clock::now() - start;
}

sent send_file(const input& from, const std::string& name, vcsm::cache_mode cache) {
    sent done{vcsm::shared_memory{from.size(), name, cache}, from.size(), {}, {}};
    progress shown{"sending", from.size()};
    auto view = done.block.lock(vcsm::access::write);
    const std::size_t filled = fill(from, view, 0, shown);
    if (filled < from.size()) {
        throw failed{fmt::format("cannot send {}: it had {} bytes and ended after {}, for somebody cut it meanwhile",
                                 from.path(), from.size(), filled)};
    }
    digest_written(done, view);
    view.unlock();
    return done;
}

sent send_stream(const input& from, const std::string& name, vcsm::cache_mode cache) {
    sent done{vcsm::shared_memory{first_stream_bytes, name, cache}, 0, {}, {}};
    progress shown{"sending", 0};
    for (;;) {
        const std::size_t size = done.block.size();
        auto view = done.block.lock(vcsm::access::write);
        const std::size_t filled = fill(from, std::span<std::byte>{view}.subspan(done.bytes), done.bytes, shown);
        done.bytes += filled;
        if (done.bytes < size) {
            digest_written(done, std::span<std::byte>{view}.first(done.bytes));
            view.unlock();
            break;
        }
        view.unlock();
        done.block.resize(size * 2);
    }
    if (done.bytes == 0) {
        throw failed{fmt::format("cannot send {}: it is empty, and a block has at least 1 byte", from.path())};
    }
    return done;
}

std::optional<digest> as_videocore_sees_it(const sent& done) {
    std::vector<std::byte> piece(std::min(piece_bytes, done.bytes));
    digest seen;
    progress shown{"VideoCore reads back", done.bytes};
    try {
        const std::uint32_t handle = done.block.videocore_handle();
        for (std::size_t at = 0; at < done.bytes; at += piece.size()) {
            throw_if_interrupted();
            piece.resize(std::min(piece.size(), done.bytes - at));
            vcsm::videocore::read(handle, at, piece);
            seen.add(piece);
            shown.at(at + piece.size());
        }
    } catch (const vcsm::not_supported&) {
        return std::nullopt;
    }
    return seen;
}

verification verify(const sent& done) {
    verification result;
    std::optional<digest> seen = as_videocore_sees_it(done);
    result.by_videocore = seen.has_value();
    if (!seen) {
        // A new lock invalidates the CPU's cache first: what is read is what lies in memory.
        auto view = done.block.lock(vcsm::access::read);
        seen = digest_of(std::span<const std::byte>{view}.first(done.bytes));
    }
    if (const auto piece = seen->first_difference(done.written)) {
        const std::size_t first = *piece * piece_bytes;
        throw failed{fmt::format("block \"{}\": {} read back other bytes than were sent; the first difference lies "
                                 "between bytes {} and {}",
                                 done.block.name(), result.by_videocore ? "VideoCore" : "the CPU", first,
                                 std::min(first + piece_bytes, done.bytes) - 1)};
    }
    result.sha256 = seen->hex();
    return result;
}

// What a device does not have is null in JSON and absent from the text.
template <class Ask>
auto if_any(Ask&& ask) -> std::optional<decltype(ask())> {
    try {
        return ask();
    } catch (const vcsm::not_supported&) {
        return std::nullopt;
    }
}

void report(const send_options& options, const sent& done, double seconds, const verification& checked) {
    const auto handle = if_any([&] { return done.block.videocore_handle(); });
    const auto bus = if_any([&] { return done.block.bus_address(); });
    const double rate = seconds > 0 ? static_cast<double>(done.bytes) / seconds : 0;
    if (options.json) {
        nlohmann::ordered_json object{{"device", done.block.device()},
                                      {"name", done.block.name()},
                                      {"bytes", done.bytes},
                                      {"capacity", done.block.capacity()},
                                      {"cache", vcsm::to_string(done.block.granted_cache())},
                                      {"handle", done.block.handle()},
                                      {"videocore_handle", nullptr},
                                      {"bus_address", nullptr},
                                      {"sha256", checked.sha256},
                                      {"verified", checked.by_videocore ? "videocore" : "cpu"},
                                      {"seconds", seconds},
                                      {"bytes_per_second", rate}};
        if (handle) {
            object["videocore_handle"] = *handle;
        }
        if (bus) {
            object["bus_address"] = *bus;
        }
        print(object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
        return;
    }
    std::vector<std::pair<std::string, std::string>> rows{
        {"device", std::string{done.block.device()}},
        {"capacity", fmt::format("{} bytes", done.block.capacity())},
        {"cache", std::string{vcsm::to_string(done.block.granted_cache())}},
        {"handle", std::to_string(done.block.handle())}};
    if (handle) {
        rows.emplace_back("VideoCore handle", std::to_string(*handle));
    }
    if (bus) {
        rows.emplace_back("bus address", fmt::format("{:#x}", *bus));
    }
    rows.emplace_back("SHA-256", checked.sha256);
    rows.emplace_back("verified", checked.by_videocore ? "by VideoCore, which read back the bytes that were sent"
                                                       : "by the CPU, which read back the bytes that were sent "
                                                         "(VideoCore cannot be asked)");
    constexpr double bytes_per_megabyte = 1e6;
    rows.emplace_back("sent in", fmt::format("{:.6f} s, {:.0f} MB/s", seconds, rate / bytes_per_megabyte));
    print(fmt::format("sent {} bytes into block \"{}\"\n", done.bytes, done.block.name()) + listed(rows));
}

void send(const send_options& options) {
    if (options.file.empty()) {
        throw usage_error{"what shall be sent? Name a FILE, or - for standard input: vcsm send photo.jpg "
                          "('vcsm send --help' shows more)"};
    }
    vcsm::cache_mode cache = vcsm::cache_mode::none;
    try {
        cache = vcsm::parse_cache_mode(options.cache);
    } catch (const std::invalid_argument& unknown) {
        throw usage_error{unknown.what()};
    }
    use_device(options.device);
    note_interrupts();

    const input from{options.file};
    std::string name = options.name;
    if (name.empty()) {
        name = options.file == "-" ? "stdin" : std::filesystem::path{options.file}.filename().string();
    }
    vcsm::start_service(); // not counted below, nor is what it may say
    const auto start = clock::now();
    const sent done = from.size() > 0 ? send_file(from, name, cache) : send_stream(from, name, cache);
    const double seconds = std::chrono::duration<double>{clock::now() - start - done.digesting}.count();

    report(options, done, seconds, verify(done));
    if (options.hold) {
        if (!options.json) {
            print("holding the block until Ctrl-C or SIGTERM\n");
        }
        wait_for_interrupt();
    }
}

} // namespace

void add_send(CLI::App& app) {
    auto* const command =
        app.add_subcommand("send", "Puts a file into VideoCore memory and has VideoCore read it back");
    const auto options = std::make_shared<send_options>();
    command->add_option("FILE", options->file, "what to send (always needed); - reads standard input");
    command->add_option("--name", options->name, "the block's name (otherwise the file's)");
    command->add_option("--device", options->device,
                        "the device to use: vcsm-cma, vcsm, dma-heap[:HEAP], udmabuf, mailbox, v3d or simulated");
    command->add_option("--cache", options->cache, "who shall cache the block: none, host, videocore or both")
        ->capture_default_str();
    command->add_flag("--hold", options->hold, "keep the block until Ctrl-C or SIGTERM, then free it and exit 0");
    command->add_flag("--json", options->json, "print one JSON object");
    command->footer(
        "The file is read straight into the locked block; the block is unlocked; then VideoCore reads it back and the\n"
        "bytes are compared by SHA-256. Where VideoCore cannot be asked, the CPU reads it back after invalidating its\n"
        "cache, and the output says so. The time is that of allocating, reading in and unlocking.\n\n"
        "Examples:\n"
        "  vcsm send photo.jpg\n"
        "  vcsm send table.bin --name ls_grid --cache host --json\n"
        "  head -c 3000000 /dev/urandom | vcsm send -\n"
        "  VCSM_SIM_FAULTS=read@1=flip vcsm send photo.jpg      # see it fail");
    command->callback([options] { send(*options); });
}

} // namespace tool
