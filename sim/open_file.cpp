// open, openat, openat2, creat.
#include "nodes/vcio.hpp"
#include "nodes/vcsm_legacy.hpp"
#include "simulation.hpp"

#include <cerrno>

#include <fcntl.h>
#include <linux/openat2.h>

namespace vcsm::sim {

namespace {

struct wanted {
    int directory = AT_FDCWD;
    std::uint64_t path = 0;
    int flags = 0;
};

/// False: the kernel is to say what is wrong with it.
bool decode(const request& asked, wanted& into) {
    switch (asked.what) {
    case call::open:
        into = {AT_FDCWD, asked.arguments[0], asked.descriptor(1)};
        return true;
    case call::creat:
        into = {AT_FDCWD, asked.arguments[0], O_CREAT | O_WRONLY | O_TRUNC};
        return true;
    case call::openat2: {
        open_how how{};
        if (asked.arguments[3] < sizeof how || !asked.who.get(asked.arguments[2], how) || how.resolve != 0) {
            return false; // a walk that is not to leave its directory cannot arrive at a device
        }
        into = {asked.descriptor(0), asked.arguments[1], static_cast<int>(how.flags)};
        return true;
    }
    default:
        into = {asked.descriptor(0), asked.arguments[1], asked.descriptor(2)};
        return true;
    }
}

std::string flag_text(int flags) {
    std::string text = (flags & O_ACCMODE) == O_RDONLY   ? "O_RDONLY"
                       : (flags & O_ACCMODE) == O_WRONLY ? "O_WRONLY"
                                                         : "O_RDWR";
    text += (flags & O_CLOEXEC) != 0 ? "|O_CLOEXEC" : "";
    text += (flags & O_NONBLOCK) != 0 ? "|O_NONBLOCK" : "";
    text += (flags & O_DIRECTORY) != 0 ? "|O_DIRECTORY" : "";
    return text;
}

bool can_write(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY;
}

answer open_node(simulation& all, const request& asked, const entry& device, int flags) {
    if ((flags & O_DIRECTORY) != 0) {
        return answer::failure(ENOTDIR);
    }
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
        return answer::failure(EEXIST);
    }
    const bool close_on_exec = (flags & O_CLOEXEC) != 0;
    switch (device.node) {
    case node::vcsm:
        if (!asked.narrow) {
            return answer::failure(ENOENT); // its addresses have 32 bits
        }
        return all.legacy->open(asked, flags);
    case node::mem:
        return all.give(asked, all.mailbox->open_physical(flags), close_on_exec);
    default:
        return all.give(asked, all.nodes.open(device, flags), close_on_exec);
    }
}

answer open_entry(simulation& all, const request& asked, const entry& found, int flags) {
    const bool close_on_exec = (flags & O_CLOEXEC) != 0;
    switch (found.what) {
    case entry::kind::node:
        return open_node(all, asked, found, flags);
    case entry::kind::directory:
        if (can_write(flags) || (flags & O_CREAT) != 0) {
            return answer::failure(EISDIR);
        }
        return all.give(asked, kernel::open(all.tree.stand_in(found), O_DIRECTORY | (flags & (O_RDONLY | O_PATH))),
                        close_on_exec);
    case entry::kind::link:
        return answer::failure(ELOOP);
    default:
        break;
    }
    if ((flags & O_DIRECTORY) != 0) {
        return answer::failure(ENOTDIR);
    }
    const bool for_root = found.file == text_file::cma_state;
    if (can_write(flags) || (for_root && ::geteuid() != 0)) {
        return answer::failure(EACCES);
    }
    return all.give(asked, file_with(found.path, text_for(all, found.file)), close_on_exec);
}

} // namespace

answer open_file(simulation& all, const request& asked) {
    wanted what;
    std::string path;
    if (!decode(asked, what) || asked.who.read_text(what.path, path) != 0) {
        return answer::pass();
    }
    const bool follow = (what.flags & O_NOFOLLOW) == 0 && (what.flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
    const place where = all.paths.resolve(asked.who, what.directory, path, follow);
    if (where.what == place::kind::elsewhere) {
        return answer::pass();
    }
    if (all.trace.wanted()) {
        all.trace.call("openat(" + quoted(path) + ", " + flag_text(what.flags) + ")");
    }
    switch (where.what) {
    case place::kind::answered:
        return open_entry(all, asked, *where.found, what.flags);
    case place::kind::not_there:
        return answer::failure(ENOENT);
    case place::kind::no_directory:
        return answer::failure(ENOTDIR);
    default:
        break;
    }
    // A descriptor of some process, by its link in /proc.
    const target owner{where.process};
    const auto status = owner.look_at(where.descriptor);
    if (!status) {
        return answer::pass();
    }
    if (const auto which = all.buffers.find(owner, where.descriptor, *status)) {
        if (where.what == place::kind::descriptor) {
            return answer::failure(ENXIO);
        }
        return all.give(asked, file_with("fdinfo", information_on(owner, where.descriptor, *which)),
                        (what.flags & O_CLOEXEC) != 0);
    }
    const entry* const device = all.nodes.find(key_of(*status));
    if (device != nullptr && where.what == place::kind::descriptor) {
        return open_node(all, asked, *device, what.flags);
    }
    return answer::pass();
}

} // namespace vcsm::sim
