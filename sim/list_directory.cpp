// getdents: what stands in /dev and in the answered directories.
#include "simulation.hpp"

#include <cerrno>
#include <cstring>
#include <set>

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

// The kernel's three layouts of an entry: getdents64's, and getdents' of 64-bit and of 32-bit programs, which have the
// type in their last byte.
struct layout {
    std::size_t number_bytes;
    bool type_last;
    [[nodiscard]] std::size_t length_at() const noexcept { return 2 * number_bytes; }
    [[nodiscard]] std::size_t name_at() const noexcept { return 2 * number_bytes + 2 + (type_last ? 0 : 1); }
};

layout layout_of(const request& asked) {
    if (asked.what == call::getdents64) {
        return {8, false};
    }
    return {asked.narrow ? std::size_t{4} : sizeof(long), true};
}

void append(std::vector<char>& list, const layout& form, ino_t number, std::uint64_t next, unsigned char type,
            const std::string& name) {
    const std::size_t plain = form.name_at() + name.size() + 1 + (form.type_last ? 1 : 0);
    const std::size_t length = (plain + form.number_bytes - 1) / form.number_bytes * form.number_bytes;
    std::vector<char> made(length, '\0');
    const std::uint64_t numbers[2] = {number, next};
    const auto short_length = static_cast<std::uint16_t>(length);
    for (std::size_t i = 0; i < 2; ++i) {
        std::memcpy(made.data() + i * form.number_bytes, &numbers[i], form.number_bytes); // little-endian hosts alone
    }
    std::memcpy(made.data() + form.length_at(), &short_length, sizeof short_length);
    std::memcpy(made.data() + form.name_at(), name.data(), name.size());
    made[form.type_last ? length - 1 : form.name_at() - 1] = static_cast<char>(type);
    list.insert(list.end(), made.begin(), made.end());
}

unsigned char type_of(const entry& each) {
    switch (each.what) {
    case entry::kind::node:
        return DT_CHR;
    case entry::kind::directory:
        return DT_DIR;
    case entry::kind::link:
        return DT_LNK;
    default:
        return DT_REG;
    }
}

std::string last_part(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

/// The program's open directory, whose position is shared with it.
kernel::unique_fd shared_with(const simulation& all, const request& asked) {
    const kernel::unique_fd process{static_cast<int>(::syscall(SYS_pidfd_open, all.process_of(asked.who), 0))};
    return kernel::unique_fd{
        process ? static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), asked.descriptor(0), 0)) : -1};
}

answer put(const request& asked, const std::vector<char>& list) {
    return asked.who.write(asked.arguments[1], std::as_bytes(std::span{list.data(), list.size()}))
               ? answer::success(static_cast<std::int64_t>(list.size()))
               : answer::failure(EFAULT);
}

answer list_answered(simulation& all, const request& asked, const entry& directory) {
    const kernel::unique_fd shared = shared_with(all, asked);
    if (!shared) {
        return answer::pass();
    }
    const layout form = layout_of(asked);
    struct item {
        std::string name;
        unsigned char type;
        ino_t number;
    };
    std::vector<item> items{{".", DT_DIR, directory.number}, {"..", DT_DIR, 1}};
    for (const entry* const each : all.tree.in_directory(directory.path)) {
        items.push_back({last_part(each->path), type_of(*each), each->number});
    }
    auto position = static_cast<std::size_t>(::lseek(shared.get(), 0, SEEK_CUR));
    std::vector<char> list;
    while (position < items.size()) {
        std::vector<char> longer = list;
        const item& next = items[position];
        append(longer, form, next.number, position + 1, next.type, next.name);
        if (longer.size() > asked.word(2)) {
            break;
        }
        list = std::move(longer);
        ++position;
    }
    if (list.empty() && position < items.size()) {
        return answer::failure(EINVAL);
    }
    ::lseek(shared.get(), static_cast<off_t>(position), SEEK_SET);
    return put(asked, list);
}

/// This machine's own entries without those that are answered, which come first of all.
answer list_dev(simulation& all, const request& asked) {
    const kernel::unique_fd shared = shared_with(all, asked);
    if (!shared) {
        return answer::pass();
    }
    const layout form = layout_of(asked);
    std::set<std::string> ours;
    std::vector<char> list;
    const bool first = ::lseek(shared.get(), 0, SEEK_CUR) == 0;
    for (const entry* const each : all.tree.in_directory("/dev")) {
        const std::string name = last_part(each->path);
        ours.insert(name);
        const bool seen = each->what != entry::kind::absent &&
                          !(each->what == entry::kind::node && each->node == node::vcsm && !asked.narrow);
        if (first && seen) {
            append(list, form, each->number, 0, type_of(*each), name);
        }
    }
    const std::size_t room = asked.word(2);
    if (room < list.size() + 512) {
        return answer::pass(); // too small for all of ours at once; nobody's readdir asks so
    }
    for (;;) {
        std::vector<char> real(room - list.size());
        const auto number = asked.what == call::getdents64 ? SYS_getdents64 :
#ifdef SYS_getdents
                                                           SYS_getdents;
#else
                                                           SYS_getdents64;
#endif
        if (asked.what == call::getdents && form.number_bytes != sizeof(long)) {
            return answer::pass(); // this process cannot ask in a 32-bit program's layout
        }
        const long got = ::syscall(number, shared.get(), real.data(), real.size());
        if (got < 0) {
            return answer::failure(errno);
        }
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            std::uint16_t length = 0;
            std::memcpy(&length, real.data() + at + form.length_at(), sizeof length);
            if (ours.count(real.data() + at + form.name_at()) == 0) {
                list.insert(list.end(), real.begin() + static_cast<std::ptrdiff_t>(at),
                            real.begin() + static_cast<std::ptrdiff_t>(at + length));
            }
            at += length;
        }
        if (got == 0 || !list.empty()) {
            return put(asked, list);
        }
    }
}

} // namespace

answer list_directory(simulation& all, const request& asked) {
    const auto status = asked.who.look_at(asked.descriptor(0));
    if (!status) {
        return answer::pass();
    }
    if (const entry* const directory = all.tree.directory_at(key_of(*status))) {
        return list_answered(all, asked, *directory);
    }
    return all.tree.is_dev(key_of(*status)) ? list_dev(all, asked) : answer::pass();
}

} // namespace vcsm::sim
