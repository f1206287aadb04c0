#include "paths.hpp"

#include <charconv>
#include <deque>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

constexpr int most_links = 40; // as the kernel

std::deque<std::string> components(std::string_view path) {
    std::deque<std::string> parts;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        if (slash != 0) {
            parts.emplace_back(path.substr(0, slash));
        }
        path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    }
    return parts;
}

/// The number that `text` is, or -1.
int whole_number(std::string_view text) {
    int number = -1;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    return problem == std::errc{} && end == text.data() + text.size() ? number : -1;
}

/// Reads "/proc/12/fd/3", "/proc/12/task/13/fdinfo/3"; `elsewhere` for anything else, and for this process: what it has
/// of the blocks a kernel would have, which nobody sees.
place descriptor_at(std::string_view path) {
    const std::deque<std::string> parts = components(path);
    const bool of_thread = parts.size() == 6 && parts[2] == "task";
    if ((parts.size() != 4 && !of_thread) || parts[0] != "proc") {
        return {};
    }
    const std::string& kind = parts[of_thread ? 4 : 2];
    const int process = whole_number(parts[of_thread ? 3 : 1]);
    const int descriptor = whole_number(parts.back());
    if (process <= 0 || process == ::getpid() || descriptor < 0 || (kind != "fd" && kind != "fdinfo")) {
        return {};
    }
    return {kind == "fd" ? place::kind::descriptor : place::kind::information, nullptr, process, descriptor};
}

} // namespace

bool path_resolver::is_plain_proc(const std::string& path) const {
    for (const std::string_view special : {"/fd", "/cwd", "/root", "/exe", "/.", "//", "/device-tree"}) {
        if (path.find(special) != std::string::npos) {
            return false;
        }
    }
    return tree_.find(path) == nullptr;
}

bool path_resolver::may_be_ours(std::string path, bool follow) const {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) {
        if (tree_.is_near(status) || !follow || !S_ISLNK(status.st_mode)) {
            return tree_.is_near(status);
        }
        // What /proc/self is depends on who asks, so a link into /proc is not to be followed here.
        const std::string text = link_text(path).value_or("");
        for (const std::string_view into : {"/proc", "/dev", "/sys"}) {
            if (text.compare(0, into.size(), into) == 0) {
                return true;
            }
        }
        return ::stat(path.c_str(), &status) != 0 || tree_.is_near(status);
    }
    // It is not there. It can be ours only if the first part of it that is missing lies in a directory near ours, or
    // is a symbolic link that leads nowhere on this machine.
    for (bool looked = path.back() != '/';; looked = false) {
        while (path.size() > 1 && path.back() == '/') {
            path.pop_back();
        }
        if (!looked && ::lstat(path.c_str(), &status) == 0) {
            return true;
        }
        const std::size_t slash = path.rfind('/');
        if (slash == std::string::npos || slash == 0) {
            return false;
        }
        path.resize(slash);
        if (::stat(path.c_str(), &status) == 0) {
            return tree_.is_near(status);
        }
    }
}

place path_resolver::resolve(const target& who, int directory, const std::string& path, bool follow) const {
    if (path.empty()) {
        return {};
    }
    if (roots_may_differ) {
        return walk(who, directory, path, follow); // another root's /dev is nothing that could be known beforehand
    }
    if (path.compare(0, 6, "/proc/") == 0) {
        return is_plain_proc(path) ? place{} : walk(who, directory, path, follow);
    }
    std::string from_here;
    if (path.front() == '/') {
        from_here = path;
    } else if (directory == AT_FDCWD) {
        from_here = who.proc("cwd/") + path;
    } else {
        from_here = who.proc_fd(directory) + '/' + path;
    }
    return may_be_ours(std::move(from_here), follow) ? walk(who, directory, path, follow) : place{};
}

place path_resolver::walk(const target& who, int directory, const std::string& path, bool follow) const {
    const std::string root_text = roots_may_differ ? link_text(who.proc("root")).value_or("/") : "/";
    const std::string root = root_text == "/" ? "" : root_text;
    const auto inside = [&](std::string absolute) {
        if (!root.empty() && absolute.compare(0, root.size(), root) == 0) {
            absolute.erase(0, root.size());
        }
        return tree_.as_seen(absolute);
    };

    std::string done; // what is walked: canonical, "" for the root
    if (path.front() != '/') {
        const auto base = link_text(directory == AT_FDCWD ? who.proc("cwd") : who.proc_fd(directory));
        if (!base || base->front() != '/') {
            return {};
        }
        done = inside(*base);
        done = done == "/" ? "" : done;
    }
    std::deque<std::string> left = components(path);
    const bool wants_directory = path.back() == '/';
    int links = 0;
    const auto go_to = [&](const std::string& text) {
        if (text.front() == '/') {
            done.clear();
        }
        const std::deque<std::string> parts = components(text);
        left.insert(left.begin(), parts.begin(), parts.end());
        return ++links <= most_links;
    };

    while (!left.empty()) {
        const std::string name = left.front();
        left.pop_front();
        if (name == ".") {
            continue;
        }
        if (name == "..") {
            done.resize(done.empty() ? 0 : done.rfind('/'));
            continue;
        }
        const bool last = left.empty();
        std::string here = done + '/' + name;
        if ((here == "/proc/self" || here == "/proc/thread-self") && (!last || follow)) {
            here = "/proc/" + std::to_string(who.thread()); // a thread has the same files as its process
        }
        if (const entry* const found = tree_.find(here); found != nullptr) {
            if (found->what == entry::kind::absent) {
                return {place::kind::not_there, nullptr, 0, -1};
            }
            if (found->what == entry::kind::link && (!last || follow || wants_directory)) {
                if (!go_to(found->text)) {
                    return {};
                }
                continue;
            }
            if (last && !(wants_directory && found->what != entry::kind::directory)) {
                return {place::kind::answered, found, 0, -1};
            }
            if (found->what != entry::kind::directory) {
                return {place::kind::no_directory, nullptr, 0, -1};
            }
            done = here;
            continue;
        }
        if (const entry* const parent = tree_.find(done); parent != nullptr && parent->what == entry::kind::directory) {
            return {place::kind::not_there, nullptr, 0, -1};
        }
        if (last) {
            if (place on_proc = descriptor_at(here); on_proc.what != place::kind::elsewhere) {
                return on_proc;
            }
        }
        if (!last || follow) {
            // A link of a process's own (cwd, root, exe, fd/N) reads as the path that it leads to.
            const bool of_proc = here.compare(0, 6, "/proc/") == 0;
            auto text = link_text((of_proc || !roots_may_differ ? "" : who.proc("root")) + here);
            if (text && !text->empty()) {
                if (of_proc && text->front() == '/') {
                    *text = inside(*text);
                }
                if (!go_to(*text)) {
                    return {};
                }
                continue;
            }
        }
        done = here;
    }
    const entry* const found = tree_.find(done.empty() ? "/" : done);
    return found != nullptr && found->what == entry::kind::directory ? place{place::kind::answered, found, 0, -1}
                                                                     : place{};
}

} // namespace vcsm::sim
