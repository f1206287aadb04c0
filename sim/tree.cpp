#include "tree.hpp"

#include "board.hpp"
#include "kernel/syscalls.hpp"

#include <functional>

#include <sys/stat.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

constexpr const char* device_tree = "/sys/firmware/devicetree/base";

// Numbers of the drivers: misc devices share major 10; their minors and the heaps' major are given at boot, in the
// order of a Raspberry Pi's.
constexpr unsigned misc_major = 10;
constexpr unsigned heap_major = 251;
constexpr unsigned vcio_major = 100;
constexpr gid_t group_video = 44; // Debian's

bool exists(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

void make_directories(const std::string& path) {
    for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
        if (::mkdir(path.substr(0, at).c_str(), 0755) != 0 && errno != EEXIST) {
            kernel::throw_errno("mkdir");
        }
        if (at == std::string::npos) {
            return;
        }
    }
}

} // namespace

entry& tree::add(entry::kind what, const std::string& path) {
    entry& made = entries_[path];
    made.what = what;
    made.path = path;
    constexpr ino_t first_number = 1000;
    made.number = first_number + entries_.size();
    return made;
}

void tree::add_node(const std::string& path, node which, unsigned mode, unsigned major, unsigned minor) {
    entry& made = add(entry::kind::node, path);
    made.node = which;
    made.mode = mode;
    made.major = major;
    made.minor = minor;
    made.group = mode == 0660 ? group_video : 0;
}

tree::tree(const board& of, std::string scratch) : scratch_{std::move(scratch)} {
    for (const char* const path : {"/dev/vcsm-cma", "/dev/vcsm", "/dev/vcio", "/dev/dma_heap"}) {
        add(entry::kind::absent, path);
    }
    if (of.videocore) {
        add_node("/dev/vcsm-cma", node::vcsm_cma, 0666, misc_major, 125);
        add_node("/dev/vcio", node::vcio, 0660, vcio_major, 0);
        add_node("/dev/mem", node::mem, 0640, 1, 1);
    }
    if (of.legacy) {
        add_node("/dev/vcsm", node::vcsm, 0660, misc_major, 126);
    }
    add_node("/dev/udmabuf", node::udmabuf, 0660, misc_major, 124);
    if (of.heaps) {
        add(entry::kind::directory, "/dev/dma_heap").mode = 0755;
        unsigned minor = 0;
        for (const char* const name : {"linux,cma", "system"}) {
            const std::string path = std::string{"/dev/dma_heap/"} + name;
            add_node(path, node::heap, 0660, heap_major, minor++);
            entries_.at(path).text = name;
        }
        entry& vidbuf = add(entry::kind::link, "/dev/dma_heap/vidbuf_cached");
        vidbuf.text = of.vidbuf;
        vidbuf.mode = 0777;
    }
    const auto add_file = [this](const std::string& path, text_file which) {
        entry& made = add(entry::kind::file, path);
        made.file = which;
        made.mode = 0444;
    };
    const auto add_directory = [this](const std::string& path, unsigned mode) {
        if (!exists(path)) {
            add(entry::kind::directory, path).mode = mode;
        }
    };
    add_file("/proc/meminfo", text_file::meminfo);
    if (!exists("/proc/device-tree")) {
        entry& link = add(entry::kind::link, "/proc/device-tree");
        link.text = device_tree;
        link.mode = 0777;
    }
    add_directory("/sys/firmware", 0755);
    add_directory("/sys/firmware/devicetree", 0755);
    add_directory(device_tree, 0755);
    add_directory(std::string{device_tree} + "/system", 0755);
    add_file(std::string{device_tree} + "/compatible", text_file::compatible);
    add_file(std::string{device_tree} + "/model", text_file::model);
    add_file(std::string{device_tree} + "/system/linux,revision", text_file::revision);
    if (of.videocore) {
        add(entry::kind::directory, "/sys/kernel/debug/vcsm-cma").mode = 0755;
        add_file("/sys/kernel/debug/vcsm-cma/state", text_file::cma_state);
    }

    for (const char* const path : {"/dev", "/proc", "/sys", "/sys/kernel/debug"}) {
        struct stat status {};
        if (::stat(path, &status) == 0) {
            near_.insert(status.st_dev);
            if (std::string_view{path} == "/dev") {
                dev_ = key_of(status);
            }
        }
    }
    for (const auto& [path, each] : entries_) {
        if (each.what == entry::kind::directory) {
            const std::string stands = stand_in(each);
            make_directories(stands);
            struct stat status {};
            if (::stat(stands.c_str(), &status) != 0) {
                kernel::throw_errno("stat");
            }
            stand_ins_[key_of(status)] = &each;
        }
    }
}

const entry* tree::find(std::string_view path) const {
    const auto found = entries_.find(path);
    return found == entries_.end() ? nullptr : &found->second;
}

std::string tree::as_seen(const std::string& path) const {
    const bool ours = path.size() > scratch_.size() && path.compare(0, scratch_.size(), scratch_) == 0 &&
                      path[scratch_.size()] == '/';
    return ours ? path.substr(scratch_.size()) : path;
}

std::string tree::stand_in(const entry& directory) const {
    return scratch_ + directory.path;
}

bool tree::is_near(const struct stat& status) const noexcept {
    return near_.count(status.st_dev) != 0 || stand_ins_.count(key_of(status)) != 0;
}

const entry* tree::directory_at(const file_key& key) const noexcept {
    const auto found = stand_ins_.find(key);
    return found == stand_ins_.end() ? nullptr : found->second;
}

std::vector<const entry*> tree::in_directory(std::string_view directory) const {
    std::vector<const entry*> found;
    for (const auto& [path, each] : entries_) {
        const std::size_t slash = path.rfind('/');
        if (std::string_view{path}.substr(0, slash) == directory) {
            found.push_back(&each);
        }
    }
    return found;
}

} // namespace vcsm::sim
