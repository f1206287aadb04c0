#include "lifetime.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

// Each open has a byte of its own, far behind any that a program would lock itself.
constexpr std::uint64_t first_byte = std::uint64_t{1} << 61;

struct flock lock_on(std::uint64_t id, short type) noexcept {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(first_byte + id);
    lock.l_len = 1;
    return lock;
}

} // namespace

lifetimes::lifetimes() : watch_{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)} {
    if (!watch_) {
        kernel::throw_errno("inotify_init1");
    }
}

lifetimes::opened lifetimes::open_again(int memfd, int flags) {
    struct stat status {};
    if (::fstat(memfd, &status) != 0) {
        kernel::throw_errno("fstat");
    }
    const std::string path = "/proc/self/fd/" + std::to_string(memfd);
    opened made;
    made.file = kernel::open(path, flags);
    made.id = ++last_id_;
    struct flock lock = lock_on(made.id, (flags & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK);
    if (::fcntl(made.file.get(), F_OFD_SETLK, &lock) != 0) {
        kernel::throw_errno("fcntl(F_OFD_SETLK)");
    }
    const file_key key = key_of(status);
    watched& file = files_[key];
    if (file.opens.empty()) {
        file.memfd = memfd;
        file.ours = (::fcntl(memfd, F_GET_SEALS) & F_SEAL_GROW) != 0;
        file.watch = ::inotify_add_watch(watch_.get(), path.c_str(), IN_CLOSE);
        if (file.watch >= 0) {
            by_watch_[file.watch] = key;
        }
    }
    file.opens.push_back(made.id);
    opens_[made.id] = key;
    // A dma-buf cannot be read or written. At this position every read and write of a byte or more is EINVAL.
    ::lseek(made.file.get(), INT64_MAX, SEEK_SET);
    return made;
}

bool lifetimes::lives(const watched& file, std::uint64_t id) const noexcept {
    struct flock lock = lock_on(id, F_WRLCK);
    return ::fcntl(file.memfd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

void lifetimes::drop(file_key key, std::uint64_t id) noexcept {
    opens_.erase(id);
    const auto found = files_.find(key);
    if (found == files_.end()) {
        return;
    }
    auto& opens = found->second.opens;
    opens.erase(std::remove(opens.begin(), opens.end(), id), opens.end());
    if (opens.empty()) {
        if (found->second.watch >= 0) {
            by_watch_.erase(found->second.watch);
            if (!found->second.ours) { // ours goes with the memfd
                ::inotify_rm_watch(watch_.get(), found->second.watch);
            }
        }
        files_.erase(found);
    }
}

void lifetimes::forget(std::uint64_t id) noexcept {
    if (const auto found = opens_.find(id); found != opens_.end()) {
        drop(found->second, id);
    }
}

bool lifetimes::look_at(const file_key& key, std::vector<std::uint64_t>& gone) {
    const auto found = files_.find(key);
    if (found == files_.end()) {
        return false;
    }
    const std::vector<std::uint64_t> opens = found->second.opens;
    std::size_t living = opens.size();
    for (const std::uint64_t id : opens) {
        if (!lives(found->second, id)) {
            gone.push_back(id);
            drop(key, id);
            --living;
        }
    }
    return living > 0;
}

bool lifetimes::hear(std::vector<file_key>& closed) {
    alignas(inotify_event) std::array<char, 16384> events;
    bool lost_none = true;
    for (;;) {
        const ssize_t got = ::read(watch_.get(), events.data(), events.size());
        if (got <= 0) {
            return lost_none;
        }
        for (ssize_t at = 0; at < got;) {
            inotify_event event{};
            std::memcpy(&event, events.data() + at, sizeof event);
            at += static_cast<ssize_t>(sizeof event + event.len);
            lost_none = lost_none && (event.mask & IN_Q_OVERFLOW) == 0;
            if (const auto found = by_watch_.find(event.wd); found != by_watch_.end()) {
                closed.push_back(found->second);
            }
        }
    }
}

std::vector<std::uint64_t> lifetimes::gone() {
    // Where nothing of a file is gone after all, its lock may take as long as a thread of the kernel waits for its
    // turn. Where something is, an event of another open may have become one with this one's: a second look does.
    constexpr std::chrono::seconds long_enough{1};
    std::vector<file_key> closed;
    std::vector<std::uint64_t> gone;
    if (!hear(closed)) {
        gone = gone_for_sure();
    }
    const auto now =
        closed.empty() && closing_.empty() ? std::chrono::steady_clock::time_point{} : std::chrono::steady_clock::now();
    std::vector<closing> still;
    for (const closing& each : closing_) {
        if (look_at(each.file, gone) && now < each.until) {
            still.push_back(each);
        }
    }
    for (const file_key& key : closed) {
        const std::size_t before = gone.size();
        if (look_at(key, gone)) {
            still.push_back({key, gone.size() == before ? now + long_enough : now});
        }
    }
    closing_ = std::move(still);
    return gone;
}

std::vector<std::uint64_t> lifetimes::gone_for_sure() {
    std::vector<file_key> all;
    for (const auto& [key, file] : files_) {
        all.push_back(key);
    }
    std::vector<std::uint64_t> gone;
    for (const file_key& key : all) {
        (void)look_at(key, gone);
    }
    return gone;
}

std::optional<std::uint64_t> lifetimes::which(const target& who, int descriptor, const file_key& file) const {
    const auto found = files_.find(file);
    if (found == files_.end()) {
        return std::nullopt;
    }
    const watched& known = found->second;
    if (known.ours && known.opens.size() == 1) {
        return known.opens.front();
    }
    // Several opens of one file: the lock that this one holds tells which it is.
    const std::string text = text_of("/proc/" + std::to_string(who.thread()) + "/fdinfo/" + std::to_string(descriptor));
    for (const std::uint64_t id : known.opens) {
        const std::string byte = " " + std::to_string(first_byte + id);
        if (text.find(byte + byte + '\n') != std::string::npos) {
            return id;
        }
    }
    return std::nullopt;
}

std::vector<std::uint64_t> lifetimes::opens_of(const file_key& file) const {
    const auto found = files_.find(file);
    return found == files_.end() ? std::vector<std::uint64_t>{} : found->second.opens;
}

} // namespace vcsm::sim
