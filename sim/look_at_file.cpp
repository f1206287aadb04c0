// stat and its kin, access, readlink, getxattr.
#include "simulation.hpp"

#include "kernel/vcsm_legacy.hpp"
#include "nodes/vcsm_legacy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace vcsm::sim {

namespace {

struct attributes {
    mode_t mode = 0;
    gid_t group = 0;
    dev_t device = 0;
    ino_t number = 0;
    off_t bytes = 0;
};

attributes attributes_of(const entry& found) {
    attributes made;
    made.group = found.group;
    made.number = found.number;
    switch (found.what) {
    case entry::kind::node:
        made.mode = S_IFCHR | found.mode;
        made.device = makedev(found.major, found.minor);
        break;
    case entry::kind::directory:
        made.mode = S_IFDIR | found.mode;
        break;
    case entry::kind::link:
        made.mode = S_IFLNK | found.mode;
        made.bytes = static_cast<off_t>(found.text.size());
        break;
    default:
        made.mode = S_IFREG | found.mode;
        break;
    }
    return made;
}

// i386's struct stat64 and its older struct stat, as the kernel writes them for 32-bit programs.
struct [[gnu::packed]] stat64_i386 {
    std::uint64_t st_dev;
    std::uint8_t pad0[4];
    std::uint32_t short_ino;
    std::uint32_t st_mode;
    std::uint32_t st_nlink;
    std::uint32_t st_uid;
    std::uint32_t st_gid;
    std::uint64_t st_rdev;
    std::uint8_t pad3[4];
    std::int64_t st_size;
    std::uint32_t st_blksize;
    std::uint64_t st_blocks;
    std::uint32_t times[6];
    std::uint64_t st_ino;
};
static_assert(sizeof(stat64_i386) == 96);

struct stat_i386 {
    std::uint32_t st_dev;
    std::uint32_t st_ino;
    std::uint16_t st_mode;
    std::uint16_t st_nlink;
    std::uint16_t st_uid;
    std::uint16_t st_gid;
    std::uint32_t st_rdev;
    std::uint32_t st_size;
    std::uint32_t st_blksize;
    std::uint32_t st_blocks;
    std::uint32_t times[6];
    std::uint32_t unused[2];
};
static_assert(sizeof(stat_i386) == 64);

constexpr dev_t shown_device = 5; // a devtmpfs's
constexpr unsigned shown_block_bytes = 4096;

answer put_stat(const request& asked, const attributes& what, std::uint64_t address) {
    const auto now = static_cast<std::uint32_t>(std::time(nullptr));
    bool written = false;
    if (!asked.narrow) {
        struct stat made {};
        made.st_dev = shown_device;
        made.st_ino = what.number;
        made.st_mode = what.mode;
        made.st_nlink = 1;
        made.st_gid = what.group;
        made.st_rdev = what.device;
        made.st_size = what.bytes;
        made.st_blksize = shown_block_bytes;
        made.st_atim.tv_sec = made.st_mtim.tv_sec = made.st_ctim.tv_sec = now;
        written = asked.who.put(address, made);
    } else if (asked.what == call::stat || asked.what == call::lstat) {
        stat_i386 made{};
        made.st_dev = static_cast<std::uint32_t>(shown_device);
        made.st_ino = static_cast<std::uint32_t>(what.number);
        made.st_mode = static_cast<std::uint16_t>(what.mode);
        made.st_nlink = 1;
        made.st_gid = static_cast<std::uint16_t>(what.group);
        made.st_rdev = static_cast<std::uint32_t>(what.device);
        made.st_size = static_cast<std::uint32_t>(what.bytes);
        made.st_blksize = shown_block_bytes;
        made.times[0] = made.times[2] = made.times[4] = now;
        written = asked.who.put(address, made);
    } else {
        stat64_i386 made{};
        made.st_dev = shown_device;
        made.short_ino = static_cast<std::uint32_t>(what.number);
        made.st_ino = what.number;
        made.st_mode = what.mode;
        made.st_nlink = 1;
        made.st_gid = what.group;
        made.st_rdev = what.device;
        made.st_size = what.bytes;
        made.st_blksize = shown_block_bytes;
        made.times[0] = made.times[2] = made.times[4] = now;
        written = asked.who.put(address, made);
    }
    return written ? answer::success() : answer::failure(EFAULT);
}

answer put_statx(const request& asked, const attributes& what, std::uint64_t address) {
    struct statx made {};
    made.stx_mask = STATX_BASIC_STATS;
    made.stx_blksize = shown_block_bytes;
    made.stx_nlink = 1;
    made.stx_gid = what.group;
    made.stx_mode = static_cast<std::uint16_t>(what.mode);
    made.stx_ino = what.number;
    made.stx_size = static_cast<std::uint64_t>(what.bytes);
    made.stx_rdev_major = major(what.device);
    made.stx_rdev_minor = minor(what.device);
    made.stx_dev_minor = static_cast<std::uint32_t>(shown_device);
    made.stx_atime.tv_sec = made.stx_mtime.tv_sec = made.stx_ctime.tv_sec = std::time(nullptr);
    return asked.who.put(address, made) ? answer::success() : answer::failure(EFAULT);
}

struct wanted {
    int directory = AT_FDCWD;
    std::uint64_t path = 0;
    int flags = 0;
    std::uint64_t result = 0;
};

wanted decode(const request& asked) {
    switch (asked.what) {
    case call::stat:
    case call::stat64:
        return {AT_FDCWD, asked.arguments[0], 0, asked.arguments[1]};
    case call::lstat:
    case call::lstat64:
        return {AT_FDCWD, asked.arguments[0], AT_SYMLINK_NOFOLLOW, asked.arguments[1]};
    case call::statx:
        return {asked.descriptor(0), asked.arguments[1], asked.descriptor(2), asked.arguments[4]};
    default: // newfstatat, fstatat64
        return {asked.descriptor(0), asked.arguments[1], asked.descriptor(3), asked.arguments[2]};
    }
}

/// The answered entry that a path leads to: found, or an errno, or nothing of ours.
struct looked_up {
    const entry* found = nullptr;
    int error = 0;
    place where;
    [[nodiscard]] bool ours() const noexcept { return found != nullptr || error != 0; }
};

looked_up look_up(simulation& all, const request& asked, int directory, const std::string& path, bool follow) {
    looked_up result;
    result.where = all.paths.resolve(asked.who, directory, path, follow);
    switch (result.where.what) {
    case place::kind::answered:
        result.found = result.where.found;
        if (result.found->what == entry::kind::node && result.found->node == node::vcsm && !asked.narrow) {
            result = {nullptr, ENOENT, {}};
        }
        break;
    case place::kind::not_there:
        result.error = ENOENT;
        break;
    case place::kind::no_directory:
        result.error = ENOTDIR;
        break;
    case place::kind::descriptor:
        if (follow) {
            if (const auto status = target{result.where.process}.look_at(result.where.descriptor)) {
                result.found = all.nodes.find(key_of(*status));
            }
        }
        break;
    default:
        break;
    }
    return result;
}

} // namespace

answer look_at_file(simulation& all, const request& asked) {
    const wanted what = decode(asked);
    std::string path;
    if (asked.who.read_text(what.path, path) != 0) {
        return answer::pass();
    }
    looked_up known;
    if (path.empty()) {
        const auto status = (what.flags & AT_EMPTY_PATH) != 0 ? asked.who.look_at(what.directory) : std::nullopt;
        known.found = status ? all.nodes.find(key_of(*status)) : nullptr;
    } else {
        known = look_up(all, asked, what.directory, path, (what.flags & AT_SYMLINK_NOFOLLOW) == 0);
    }
    if (!known.ours()) {
        return answer::pass();
    }
    if (all.trace.wanted()) {
        all.trace.call("stat(" + quoted(path) + ")");
    }
    if (known.error != 0) {
        return answer::failure(known.error);
    }
    const attributes made = attributes_of(*known.found);
    return asked.what == call::statx ? put_statx(asked, made, what.result) : put_stat(asked, made, what.result);
}

answer check_access(simulation& all, const request& asked) {
    const bool plain = asked.what == call::access;
    std::string path;
    if (asked.who.read_text(asked.arguments[plain ? 0 : 1], path) != 0) {
        return answer::pass();
    }
    const int wanted_mode = asked.descriptor(plain ? 1 : 2);
    const bool follow = asked.what != call::faccessat2 || (asked.descriptor(3) & AT_SYMLINK_NOFOLLOW) == 0;
    const looked_up known = look_up(all, asked, plain ? AT_FDCWD : asked.descriptor(0), path, follow);
    if (!known.ours()) {
        return answer::pass();
    }
    if (all.trace.wanted()) {
        all.trace.call("access(" + quoted(path) + ", " + std::to_string(wanted_mode) + ")");
    }
    if (known.error != 0) {
        return answer::failure(known.error);
    }
    // The program stands for one in the groups that a Raspberry Pi's first user is in.
    const bool node_or_link = known.found->what == entry::kind::node || known.found->what == entry::kind::link;
    const int allowed = node_or_link ? R_OK | W_OK : known.found->what == entry::kind::directory ? R_OK | X_OK : R_OK;
    return (wanted_mode & ~allowed) != 0 ? answer::failure(EACCES) : answer::success();
}

answer read_link(simulation& all, const request& asked) {
    const bool plain = asked.what == call::readlink;
    std::string path;
    if (asked.who.read_text(asked.arguments[plain ? 0 : 1], path) != 0) {
        return answer::pass();
    }
    const std::uint64_t buffer_address = asked.arguments[plain ? 1 : 2];
    const auto buffer_bytes = static_cast<int>(asked.word(plain ? 2 : 3));
    const looked_up known = look_up(all, asked, plain ? AT_FDCWD : asked.descriptor(0), path, false);
    std::string text;
    if (known.found != nullptr) {
        if (known.found->what != entry::kind::link) {
            return answer::failure(EINVAL);
        }
        text = known.found->text;
    } else if (known.error != 0) {
        return answer::failure(known.error);
    } else if (known.where.what == place::kind::descriptor) {
        const target owner{known.where.process};
        const auto status = owner.look_at(known.where.descriptor);
        if (!status) {
            return answer::pass();
        }
        if (const auto which = all.buffers.find(owner, known.where.descriptor, *status)) {
            text = "/dmabuf:" + which->name;
        } else if (const entry* const device = all.nodes.find(key_of(*status))) {
            text = device->path;
        } else if (all.legacy && all.legacy->is(key_of(*status))) {
            text = kernel::vcsm_legacy::node;
        } else if (const entry* const directory = all.tree.directory_at(key_of(*status))) {
            text = directory->path;
        } else {
            return answer::pass();
        }
    } else {
        return answer::pass();
    }
    all.trace.call("readlink(" + quoted(path) + ") => " + quoted(text));
    if (buffer_bytes <= 0) {
        return answer::failure(EINVAL);
    }
    const std::size_t shown = std::min(text.size(), static_cast<std::size_t>(buffer_bytes));
    return asked.who.write(buffer_address, std::as_bytes(std::span{text.data(), shown}))
               ? answer::success(static_cast<std::int64_t>(shown))
               : answer::failure(EFAULT);
}

answer get_attribute(simulation& all, const request& asked) {
    std::string path;
    if (asked.who.read_text(asked.arguments[0], path) != 0) {
        return answer::pass();
    }
    const looked_up known = look_up(all, asked, AT_FDCWD, path, asked.what == call::getxattr);
    if (!known.ours()) {
        return answer::pass();
    }
    return answer::failure(known.error != 0 ? known.error : ENODATA);
}

} // namespace vcsm::sim
