#include "node_files.hpp"

#include <array>
#include <future>

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vcsm::sim {

node_files::node_files(const sim::tree& of) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        kernel::throw_errno("pipe2");
    }
    sleep_.reset(ends[0]);
    wake_.reset(ends[1]);
    for (const auto& [path, each] : of.all()) {
        if (each.what != entry::kind::node || each.node == node::vcsm || each.node == node::mem) {
            continue; // those two are memory to map
        }
        std::promise<pid_t> number;
        std::future<pid_t> known = number.get_future();
        sleeper& made = sleepers_[&each];
        made.thread = std::thread{[&number, end = sleep_.get()] {
            number.set_value(::gettid());
            char nothing = 0;
            while (::read(end, &nothing, 1) < 0 && errno == EINTR) {
            }
        }};
        const std::string name = path.substr(path.rfind('/') + 1);
        ::pthread_setname_np(made.thread.native_handle(), name.substr(0, 15).c_str());
        made.path = "/proc/self/task/" + std::to_string(known.get()) + "/comm";
        made.kept = kernel::open(made.path, O_RDONLY);
        struct stat status {};
        if (::fstat(made.kept.get(), &status) != 0) {
            kernel::throw_errno("fstat");
        }
        by_key_[key_of(status)] = &each;
    }
}

node_files::~node_files() {
    wake_.reset();
    for (auto& [device, each] : sleepers_) {
        if (each.thread.joinable()) {
            each.thread.join();
        }
    }
}

kernel::unique_fd node_files::open(const entry& device, int flags) const {
    kernel::unique_fd opened = kernel::open(sleepers_.at(&device).path, flags & (O_ACCMODE | O_PATH));
    if ((flags & O_PATH) == 0) {
        if (::lseek(opened.get(), INT64_MAX, SEEK_SET) < 0) {
            kernel::throw_errno("lseek");
        }
        ::fcntl(opened.get(), F_SETFL, flags & O_NONBLOCK);
    }
    return opened;
}

const entry* node_files::find(const file_key& key) const noexcept {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? nullptr : found->second;
}

} // namespace vcsm::sim
