// `vcsm read`: what a block of another process holds.
#include "command.hpp"
#include "output.hpp"

#include <vcsm/processes.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tool {

namespace {

struct read_options {
    int process = 0;
    std::string block;
    std::string file = "-";
};

std::optional<int> as_number(const std::string& text) {
    int number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc{} && read.ptr == text.data() + text.size() && number >= 0 ? std::optional{number}
                                                                                          : std::nullopt;
}

/// The descriptor by which the process knows the block of that name.
int descriptor_named(const read_options& options) {
    std::set<std::uint64_t> inodes;
    std::set<std::string> names;
    std::optional<int> descriptor;
    for (const vcsm::held_block& each : vcsm::list_shared_blocks().held) {
        if (each.process != options.process) {
            continue;
        }
        names.insert(each.name.empty() ? "(no name)" : each.name);
        if (each.name != options.block) {
            continue;
        }
        inodes.insert(each.inode);
        if (!descriptor && !each.descriptors.empty()) {
            descriptor = each.descriptors.front();
        }
    }
    if (inodes.size() > 1) {
        throw failed{fmt::format("process {} has {} blocks named \"{}\": name one by its descriptor ('vcsm list')",
                                 options.process, inodes.size(), options.block)};
    }
    if (inodes.empty()) {
        throw failed{names.empty()
                         ? fmt::format("process {} has no shared blocks that this user may see", options.process)
                         : fmt::format("process {} has no block named \"{}\": it has {}", options.process,
                                       options.block, fmt::join(names, ", "))};
    }
    if (!descriptor) {
        throw failed{fmt::format("process {} only maps block \"{}\", and has no descriptor of it to read through",
                                 options.process, options.block)};
    }
    return *descriptor;
}

/// Closes what it opened; standard output stays open. A file that it made goes again unless it is finished; one that
/// was there keeps its bytes until others are written.
class output_file {
  public:
    explicit output_file(const std::string& path) : path_{path} {
        if (path == "-") {
            return;
        }
        constexpr int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
        descriptor_ = ::open(path.c_str(), flags | O_EXCL, 0666);
        made_ = descriptor_ >= 0;
        if (!made_ && errno == EEXIST) {
            descriptor_ = ::open(path.c_str(), flags, 0666);
        }
        if (descriptor_ < 0) {
            fail("open");
        }
    }
    output_file(const output_file&) = delete;
    output_file& operator=(const output_file&) = delete;
    ~output_file() {
        if (is_own()) {
            ::close(descriptor_);
        }
        if (made_) {
            ::unlink(path_.c_str());
        }
    }
    [[nodiscard]] int get() const { return descriptor_; }
    /// So many bytes were written, and they are all of it.
    void finish(std::uint64_t bytes) {
        if (!is_own()) {
            return;
        }
        struct stat status {};
        if (::fstat(descriptor_, &status) != 0 ||
            (S_ISREG(status.st_mode) && ::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) ||
            ::close(std::exchange(descriptor_, -1)) != 0) {
            fail("write");
        }
        made_ = false;
    }

  private:
    [[nodiscard]] bool is_own() const { return path_ != "-" && descriptor_ >= 0; }
    [[noreturn]] void fail(const char* what) const {
        throw failed{fmt::format("cannot {} {}: {}", what, path_, std::generic_category().message(errno))};
    }

    std::string path_;
    int descriptor_ = STDOUT_FILENO;
    bool made_ = false;
};

void read_block(const read_options& options) {
    const std::optional<int> number = as_number(options.block);
    const int descriptor = number ? *number : descriptor_named(options);
    if (options.file == "-" && ::isatty(STDOUT_FILENO) == 1) {
        throw usage_error{"standard output is a terminal: name a FILE, or pipe it on"};
    }
    output_file file{options.file};
    const std::uint64_t bytes = vcsm::copy_block_of(options.process, descriptor, file.get());
    file.finish(bytes);
    if (options.file != "-") {
        print(fmt::format("read {} bytes of process {}, descriptor {}, into {}\n", bytes, options.process, descriptor,
                          options.file));
    }
}

} // namespace

void add_read(CLI::App& app) {
    auto* const command = app.add_subcommand("read", "Copies a block that another process holds into a file");
    const auto options = std::make_shared<read_options>();
    command->add_option("--pid", options->process, "the process")->required()->check(CLI::PositiveNumber);
    command->add_option("--block", options->block, "the block's name, or its descriptor in that process")->required();
    command->add_option("FILE", options->file, "where to; - writes to standard output")->capture_default_str();
    command->footer(
        "Takes the process's descriptor (pidfd_getfd, Linux 5.6), maps the block, and copies it while it is\n"
        "locked for reading. Other users' processes need root. 'vcsm list' shows what there is.\n\n"
        "Examples:\n  vcsm read --pid 1234 --block ls_grid table.bin\n"
        "  sudo vcsm read --pid 1234 --block 17 | hexdump -C | head");
    command->callback([options] { read_block(*options); });
}

} // namespace tool
