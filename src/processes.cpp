#include <vcsm/processes.hpp>

#include "device/dma_buf.hpp"
#include "kernel/proc_text.hpp"
#include "kernel/syscalls.hpp"
#include "kernel/vcsm_cma.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include <vcsm/error.hpp>

namespace vcsm {

namespace {

constexpr std::size_t read_at_most = std::size_t{16} << 20;

/// A file's text; nothing where it cannot be read, with the reason in errno.
std::optional<std::string> text_of(const std::string& path) {
    try {
        return kernel::read_text(path, read_at_most);
    } catch (const std::system_error& failed) {
        errno = failed.code().value();
        return std::nullopt;
    }
}

std::optional<std::vector<std::string>> names_in(const std::string& path) {
    try {
        return kernel::list_directory(path);
    } catch (const std::system_error& failed) {
        errno = failed.code().value();
        return std::nullopt;
    }
}

std::string target_of(const std::string& link) {
    std::array<char, 4096> target{};
    const ssize_t length = kernel::system().readlink(link.c_str(), target.data(), target.size());
    return std::string{target.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
}

/// How /proc shows a dma-buf: "/dmabuf:NAME", before Linux 5.3 "anon_inode:dmabuf"; in maps, " (deleted)" may follow.
constexpr std::string_view dma_buf_path = "/dmabuf:";

std::string name_in_path(std::string_view path) {
    std::string_view name = path.substr(dma_buf_path.size());
    constexpr std::string_view deleted = " (deleted)";
    if (name.size() >= deleted.size() && name.substr(name.size() - deleted.size()) == deleted) {
        name.remove_suffix(deleted.size());
    }
    return std::string{name};
}

/// One process's blocks, by inode.
class holder {
  public:
    holder(pid_t process, std::string command) : process_{process}, command_{std::move(command)} {}

    void look_at_descriptor(const std::string& proc, const std::string& number);
    void look_at_mapping(const kernel::maps_line& line);
    void give_to(std::vector<held_block>& all);

  private:
    held_block& block_of(std::uint64_t inode);

    pid_t process_;
    std::string command_;
    std::vector<held_block> blocks_;
};

held_block& holder::block_of(std::uint64_t inode) {
    const auto found =
        std::find_if(blocks_.begin(), blocks_.end(), [&](const held_block& each) { return each.inode == inode; });
    if (found != blocks_.end()) {
        return *found;
    }
    held_block fresh;
    fresh.process = process_;
    fresh.command = command_;
    fresh.inode = inode;
    blocks_.push_back(std::move(fresh));
    return blocks_.back();
}

void holder::look_at_descriptor(const std::string& proc, const std::string& number) {
    const std::string target = target_of(proc + "/fd/" + number);
    if (target.rfind(dma_buf_path, 0) != 0 && target.rfind("anon_inode:dmabuf", 0) != 0) {
        return; // most descriptors: their fdinfo need not be read
    }
    const auto text = text_of(proc + "/fdinfo/" + number);
    const auto descriptor = kernel::parse_number(number);
    if (!text || !descriptor) {
        return; // closed meanwhile
    }
    const kernel::fdinfo_text said = kernel::parse_fdinfo(*text);
    std::uint64_t inode = said.inode.value_or(0);
    if (!said.inode) { // Linux before 5.14
        struct stat status {};
        if (kernel::system().stat((proc + "/fd/" + number).c_str(), &status) == 0) {
            inode = status.st_ino;
        }
    }
    held_block& block = block_of(inode);
    block.bytes = said.size.value_or(0);
    block.exporter = said.exporter;
    block.name = said.name;
    block.descriptors.push_back(static_cast<int>(*descriptor));
}

void holder::look_at_mapping(const kernel::maps_line& line) {
    if (line.path.rfind(dma_buf_path, 0) != 0) {
        return;
    }
    held_block& block = block_of(line.inode);
    block.mapped_bytes += line.end - line.begin;
    if (block.descriptors.empty()) {
        block.bytes = block.mapped_bytes;
        block.name = name_in_path(line.path);
    }
}

void holder::give_to(std::vector<held_block>& all) {
    std::move(blocks_.begin(), blocks_.end(), std::back_inserter(all));
}

void look_at_process(const std::string& number, shared_blocks& into) {
    const auto process = kernel::parse_number(number);
    if (!process) {
        return;
    }
    const std::string proc = "/proc/" + number;
    std::string command = text_of(proc + "/comm").value_or("");
    command.resize(std::min(command.size(), command.find('\n')));
    holder held{static_cast<pid_t>(*process), std::move(command)};
    const auto descriptors = names_in(proc + "/fd");
    if (!descriptors && (errno == EACCES || errno == EPERM)) {
        ++into.unseen_processes;
        return;
    }
    std::vector<std::string> by_number = descriptors.value_or(std::vector<std::string>{});
    std::sort(by_number.begin(), by_number.end(), [](const std::string& a, const std::string& b) {
        return std::tuple{a.size(), a} < std::tuple{b.size(), b};
    });
    for (const std::string& each : by_number) {
        held.look_at_descriptor(proc, each);
    }
    for (const kernel::maps_line& line : kernel::parse_maps(text_of(proc + "/maps").value_or(""))) {
        held.look_at_mapping(line);
    }
    held.give_to(into.held);
}

/// What the kernel's list of all dma-bufs adds: those that no process shows, and what mappings alone do not tell.
void compare_with_bufinfo(shared_blocks& found) {
    const auto text = text_of("/sys/kernel/debug/dma_buf/bufinfo");
    if (!text) {
        return;
    }
    found.complete = true;
    for (const kernel::bufinfo_line& line : kernel::parse_bufinfo(*text)) {
        bool seen = false;
        for (held_block& each : found.held) {
            if (each.inode == line.inode) {
                seen = true;
                each.bytes = line.size;
                each.exporter = line.exporter;
            }
        }
        if (!seen) {
            held_block nobodys;
            nobodys.name = line.name;
            nobodys.bytes = line.size;
            nobodys.exporter = line.exporter;
            nobodys.inode = line.inode;
            found.held.push_back(std::move(nobodys));
        }
    }
}

/// The driver's list does not say which dma-buf is which. A name and size that there is once on both sides do.
void compare_with_videocores(shared_blocks& found) {
    const auto text = text_of("/sys/kernel/debug/vcsm-cma/state");
    if (!text) {
        return;
    }
    std::map<std::pair<std::string, std::uint64_t>, std::vector<const videocore_block*>> known;
    for (const kernel::vcsm_cma_resource& each : kernel::parse_vcsm_cma_state(*text)) {
        found.videocores.push_back(
            {each.videocore_handle, each.name, each.size, each.bus_address, each.imported, each.freed});
    }
    for (const videocore_block& each : found.videocores) {
        known[{each.name, each.bytes}].push_back(&each);
    }
    std::map<std::pair<std::string, std::uint64_t>, std::vector<std::uint64_t>> inodes;
    for (const held_block& each : found.held) {
        if (each.exporter == kernel::vcsm_cma::exporter) {
            auto& of_this_kind = inodes[{each.name, each.bytes}];
            if (std::find(of_this_kind.begin(), of_this_kind.end(), each.inode) == of_this_kind.end()) {
                of_this_kind.push_back(each.inode);
            }
        }
    }
    for (held_block& each : found.held) {
        const auto match = known.find({each.name, each.bytes});
        if (each.exporter == kernel::vcsm_cma::exporter && match != known.end() && match->second.size() == 1 &&
            inodes[match->first].size() == 1) {
            each.videocore_handle = match->second.front()->videocore_handle;
            each.bus_address = match->second.front()->bus_address;
        }
    }
}

[[noreturn]] void fail(int errno_value, const char* operation, std::string remedy) {
    failure what;
    what.operation = operation;
    what.remedy = std::move(remedy);
    throw_error(errno_value, std::move(what));
}

} // namespace

shared_blocks list_shared_blocks() {
    const auto entries = names_in("/proc");
    if (!entries) {
        const int failed = errno;
        fail(failed, "list shared blocks", "they are listed in /proc, which cannot be read: mount it");
    }
    std::vector<std::string> processes;
    std::copy_if(entries->begin(), entries->end(), std::back_inserter(processes),
                 [](const std::string& each) { return kernel::parse_number(each).has_value(); });
    std::sort(processes.begin(), processes.end(), [](const std::string& a, const std::string& b) {
        return std::tuple{a.size(), a} < std::tuple{b.size(), b};
    });
    shared_blocks found;
    for (const std::string& each : processes) {
        look_at_process(each, found);
    }
    compare_with_bufinfo(found);
    compare_with_videocores(found);
    return found;
}

std::uint64_t copy_block_of(pid_t process, int descriptor, int target) {
    const device::about what{"read a block of another process"};
    kernel::calls& calls = kernel::system();
    const std::string who = "process " + std::to_string(process);
    const kernel::unique_fd pidfd{kernel::retried([&] { return calls.pidfd_open(process, 0); })};
    if (!pidfd) {
        const int failed = errno;
        device::fail(failed, what, failed == ESRCH ? "there is no " + who : "the kernel does not let it be looked at");
    }
    device::proven_dma_buf block;
    block.descriptor.reset(kernel::retried([&] { return calls.pidfd_getfd(pidfd.get(), descriptor, 0); }));
    if (!block.descriptor) {
        const int failed = errno;
        device::fail(failed, what,
                     failed == EBADF   ? who + " has no descriptor " + std::to_string(descriptor)
                     : failed == EPERM ? "this user may not look into " + who + ": be root, or its debugger (ptrace)"
                                       : "the kernel does not give its descriptor");
    }
    block.facts = device::prove_dma_buf(block.descriptor.get(), what);
    const std::uint64_t bytes = block.facts.bytes;
    device::dma_buf_memory memory{device::mapped_parts(std::move(block), what)};
    memory.begin_access(device::direction::read);
    try {
        kernel::write_all(target, {memory.data(), memory.capacity()});
    } catch (const std::system_error& failed) {
        memory.end_access(device::direction::read);
        device::fail(failed.code().value(), what, "what it holds could not be written");
    }
    memory.end_access(device::direction::read);
    return bytes;
}

} // namespace vcsm
