#include "buffers.hpp"

#include <algorithm>
#include <ctime>
#include <set>

#include <signal.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

std::uint64_t ticks_now() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    static const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    return static_cast<std::uint64_t>(now.tv_sec) * per_second +
           static_cast<std::uint64_t>(now.tv_nsec) * per_second / 1000000000U;
}

/// Whether `process` has `what` from a fork alone: forked, directly or not, by its maker after it was made.
bool inherited(const buffer& what, pid_t process) {
    if (process == what.maker || start_of(process) < what.made_at) {
        return false;
    }
    constexpr int most_generations = 1000;
    pid_t ancestor = parent_of(process);
    for (int i = 0; i < most_generations && ancestor > 1; ++i) {
        if (ancestor == what.maker) {
            return true;
        }
        ancestor = parent_of(ancestor);
    }
    return ::kill(what.maker, 0) != 0; // the maker is gone, and the trace to it with it
}

} // namespace

buffers::made buffers::add(pid_t maker, std::string maker_name, buffer described, int flags) {
    described.maker = maker;
    described.maker_name = std::move(maker_name);
    described.made_at = ticks_now();
    lifetimes::opened opened = watch_.open_again(described.memory->bytes().cpu_memfd(), flags);
    described.id = opened.id;
    auto shared = std::make_shared<buffer>(std::move(described));
    all_[shared->id] = shared;
    if (shared->source) {
        ++shared->source->attached;
    }
    return {std::move(shared), std::move(opened.file)};
}

void buffers::drop(const std::shared_ptr<buffer>& which) {
    all_.erase(which->id);
    if (which->source) {
        --which->source->attached;
    }
    if (which->videocore_handle() != 0) {
        // Blocks that others made known on top of it keep the memory, not the handle.
        which->memory->home().free(which->memory);
    }
}

void buffers::cancel(const std::shared_ptr<buffer>& which) {
    watch_.forget(which->id);
    drop(which);
}

std::shared_ptr<buffer> buffers::find(std::uint64_t id) const {
    const auto found = all_.find(id);
    return found == all_.end() ? nullptr : found->second;
}

std::shared_ptr<buffer> buffers::find(const target& who, int descriptor, const struct stat& status) const {
    const auto id = watch_.which(who, descriptor, key_of(status));
    return id ? find(*id) : nullptr;
}

void buffers::judge(buffer& which, bool maker_was_killed) {
    // An import and its source are one memory: what is missing is told once, when the last of them goes.
    const bool last_of_its_memory = which.attached == 0 && (!which.source || which.source.use_count() == 1);
    if (strict && last_of_its_memory && which.memory->unsynced_lines() > 0) {
        report_.unsynced.push_back(which.describe(std::to_string(which.memory->unsynced_lines()) + " cache lines"));
    }
    if (which.exec_closes != 0) {
        report_.closed_by_exec.push_back(which.describe());
        return;
    }
    const bool ended_by_exit =
        std::any_of(which.holders.begin(), which.holders.end(), [](const last_holder& holder) { return !holder.over; });
    if (ended_by_exit) {
        const auto guilty = std::find_if(which.holders.begin(), which.holders.end(),
                                         [](const last_holder& holder) { return !holder.inherited; });
        if (guilty != which.holders.end()) {
            finding found = which.describe();
            found.process = guilty->name;
            found.pid = guilty->process;
            report_.leaks.push_back(std::move(found));
        }
    } else if (maker_was_killed) {
        report_.killed.push_back(which.describe());
    }
}

void buffers::gone(std::uint64_t id, bool maker_was_killed) {
    const std::shared_ptr<buffer> which = find(id);
    if (which) {
        judge(*which, maker_was_killed);
        drop(which);
    }
}

std::vector<std::shared_ptr<buffer>> buffers::held_by(pid_t process, bool close_on_exec_only) const {
    std::set<std::uint64_t> found;
    const target who{process};
    for (const int descriptor : descriptors_of(process)) {
        const auto status = who.look_at(descriptor);
        if (!status || !watch_.knows(key_of(*status))) {
            continue;
        }
        if (close_on_exec_only) {
            const std::string text =
                '\n' + text_of("/proc/" + std::to_string(process) + "/fdinfo/" + std::to_string(descriptor));
            const std::size_t flags = text.find("\nflags:\t");
            constexpr std::size_t label = 8;
            if (flags == std::string::npos ||
                (std::strtoul(text.c_str() + flags + label, nullptr, 8) & static_cast<unsigned long>(O_CLOEXEC)) == 0) {
                continue;
            }
        }
        if (const auto id = watch_.which(who, descriptor, key_of(*status))) {
            found.insert(*id);
        }
    }
    if (!close_on_exec_only) { // mappings hold a block as well as descriptors do
        const std::string maps = text_of("/proc/" + std::to_string(process) + "/maps");
        for (std::size_t at = 0; at < maps.size();) {
            const std::size_t end = std::min(maps.find('\n', at), maps.size());
            const std::string line = maps.substr(at, end - at);
            at = end + 1;
            unsigned major_number = 0;
            unsigned minor_number = 0;
            unsigned long number = 0;
            if (std::sscanf(line.c_str(), "%*s %*s %*s %x:%x %lu", &major_number, &minor_number, &number) != 3) {
                continue;
            }
            const file_key key{makedev(major_number, minor_number), number};
            const std::vector<std::uint64_t> opens = watch_.opens_of(key);
            if (opens.size() == 1 && line.find("memfd:vcsm:") != std::string::npos) {
                found.insert(opens.front());
            }
        }
    }
    std::vector<std::shared_ptr<buffer>> held;
    for (const std::uint64_t id : found) {
        if (auto which = find(id)) {
            held.push_back(std::move(which));
        }
    }
    return held;
}

void buffers::process_ends(pid_t process) {
    if (all_.empty()) {
        return;
    }
    for (const std::shared_ptr<buffer>& which : held_by(process, false)) {
        which->holders.push_back({process, name_of(process), inherited(*which, process), false});
    }
}

void buffers::process_execs(pid_t process) {
    if (all_.empty()) {
        return;
    }
    for (const auto& [id, which] : all_) {
        which->exec_closes = which->exec_closes == process ? 0 : which->exec_closes;
    }
    for (const std::shared_ptr<buffer>& which : held_by(process, true)) {
        if (which->maker == process) {
            which->exec_closes = process;
        }
    }
}

void buffers::process_gone(pid_t process) {
    for (const auto& [id, which] : all_) {
        for (last_holder& holder : which->holders) {
            holder.over = holder.over || holder.process == process;
        }
    }
}

void buffers::finish() {
    const auto left = all_;
    for (const auto& [id, which] : left) {
        gone(id, true);
    }
}

} // namespace vcsm::sim
