// Running a scenario in child processes, and looking at what each run leaves behind.
#include "faults/trial.hpp"

#include "device/simulated.hpp"
#include "service.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include <dirent.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace faults {

namespace {

namespace videocore = vcsm::videocore;

constexpr unsigned seconds_for_one = 20;
constexpr std::size_t most_deaths = 25;

/// Where the child writes what it has come to, for a parent that may find it dead.
struct notes {
    std::uint64_t next; // the fault that it works on
    std::uint64_t faults;
    std::uint64_t injected;
    std::uint64_t leaked;
    std::uint64_t stuck;
    std::uint64_t broken;
    std::array<char, 256> working_on;
    std::array<char, 1U << 18U> report;
};

void write_down(notes& into, const std::string& scenario, const std::string& what, const std::string& found) {
    const std::string line = scenario + ", " + what + ": " + found + "\n";
    const std::size_t used = std::strlen(into.report.data());
    if (used + line.size() + 1 < into.report.size()) {
        std::memcpy(into.report.data() + used, line.c_str(), line.size() + 1);
    }
}

std::vector<std::string> open_descriptors() {
    std::vector<std::string> found;
    DIR* const directory = ::opendir("/proc/self/fd");
    if (directory == nullptr) {
        std::abort();
    }
    while (const dirent* const entry = ::readdir(directory)) {
        const int number = std::atoi(entry->d_name);
        if (entry->d_name[0] != '.' && number != ::dirfd(directory)) {
            std::array<char, 256> target{};
            const std::string link = std::string{"/proc/self/fd/"} + entry->d_name;
            const ssize_t length = ::readlink(link.c_str(), target.data(), target.size() - 1);
            found.push_back(std::to_string(number) + " -> " + (length > 0 ? target.data() : "?"));
        }
    }
    ::closedir(directory);
    std::sort(found.begin(), found.end());
    return found;
}

struct found_after {
    std::vector<std::string> leaks;
    std::vector<std::string> locks;
};

// After a scenario's objects are gone: what of theirs is left.
found_after look_around(const fault& wanted, board& on, failing_calls& calls,
                        const std::vector<std::string>& open_before) {
    found_after found;
    for (const vcsm::block_info& block : vcsm::blocks()) {
        found.leaks.push_back("block \"" + block.name + "\" is left");
        if (block.locks > 0) {
            found.locks.push_back("block \"" + block.name + "\" is locked");
        }
    }
    if (vcsm::device::simulated_exists()) {
        const auto model = vcsm::device::simulated_videocore();
        for (const videocore::block_state& block : model->list()) {
            found.leaks.push_back("VideoCore has block \"" + block.name + "\"");
        }
        const videocore::room room = model->room();
        if (room.free != room.total || room.largest != room.total) {
            found.leaks.push_back("VideoCore has " + std::to_string(room.free) + " of " + std::to_string(room.total) +
                                  " bytes free, " + std::to_string(room.largest) + " in one piece");
        }
    }
    // A mutex that stayed locked makes this hang, and the alarm ends the process.
    if (on.simulated()) {
        try {
            vcsm::shared_memory probe{10000, "probe", vcsm::cache_mode::host};
            probe.copy_from(std::array<char, 3>{'a', 'b', 'c'});
            probe.resize(5000);
        } catch (const std::exception& failed) {
            found.leaks.push_back(std::string{"nothing goes any more: "} + failed.what());
        }
    }
    vcsm::videocore::reset();
    if (calls.mapped_bytes() != 0) {
        found.leaks.push_back(std::to_string(calls.mapped_bytes()) + " bytes are mapped");
    }
    if (std::string complaint = on.complaint(wanted); !complaint.empty()) {
        found.leaks.push_back(std::move(complaint));
    }
    const std::vector<std::string> open_now = open_descriptors();
    for (const std::string& each : open_now) {
        const bool a_fake_drivers_own = !on.simulated() && each.find("/memfd:fake") != std::string::npos;
        if (!a_fake_drivers_own && !std::binary_search(open_before.begin(), open_before.end(), each)) {
            found.leaks.push_back("descriptor " + each + " is open");
        }
    }
    return found;
}

struct counted {
    std::vector<call> calls;
    std::uint64_t news = 0;
    trial::tries tries;
};

void set_model_faults(const fault& wanted) {
    std::string list = "read@18446744073709551615=EIO"; // a list that never strikes, so that tries are counted
    if (wanted.what == fault::kind::videocore) {
        const char* name = wanted.how.errno_value == EINTR    ? "EINTR"
                           : wanted.how.errno_value == EAGAIN ? "EAGAIN"
                           : wanted.how.errno_value == ENOMEM ? "ENOMEM"
                           : wanted.how.errno_value == EBUSY  ? "EBUSY"
                           : wanted.how.errno_value == EINVAL ? "EINVAL"
                           : wanted.how.errno_value == EPERM  ? "EPERM"
                                                              : "EIO";
        list = std::string{videocore::to_string(wanted.asked)} + "@" + std::to_string(wanted.number) + "-" +
               std::to_string(wanted.number + wanted.how.times - 1) + "=" + name;
    }
    ::setenv("VCSM_SIM_FAULTS", list.c_str(), 1);
}

/// One run. `seen`, if not null, gets what it counted; such runs may make what lasts as long as the process.
void run_once(const scenario& which, const fault& wanted, notes& into, counted* seen = nullptr) {
    std::strncpy(into.working_on.data(), wanted.text().c_str(), into.working_on.size() - 1);
    ::alarm(seconds_for_one);
    set_model_faults(wanted);
    const std::int64_t pieces_before = living_pieces();
    {
        const std::unique_ptr<board> on = which.on();
        const std::vector<std::string> open_before = open_descriptors(); // those of the board itself, too
        failing_calls calls{on->kernel()};
        const vcsm::kernel::scoped_calls in_force{calls};
        if (wanted.what == fault::kind::system_call) {
            calls.plan(wanted.number, wanted.how);
        }
        trial one{wanted, calls};
        try {
            which.run(one);
        } catch (const std::exception& failed) {
            one.complain(std::string{"afterwards: "} + failed.what());
        }
        const found_after left = look_around(wanted, *on, calls, open_before);
        const auto note = [&](const std::vector<std::string>& list, std::uint64_t& count) {
            count += list.empty() ? 0 : 1;
            for (const std::string& each : list) {
                write_down(into, which.name, wanted.text(), each);
            }
        };
        note(left.leaks, into.leaked);
        note(left.locks, into.stuck);
        note(one.complaints(), into.broken);
        into.injected += one.struck() ? 1 : 0;
        if (seen != nullptr) {
            *seen = {one.calls(), one.news(), one.tried()};
        }
    }
    if (const std::int64_t left = living_pieces() - pieces_before; seen == nullptr && left > 0) {
        ++into.leaked;
        write_down(into, which.name, wanted.text(), std::to_string(left) + " pieces of heap memory are left");
    }
    ::alarm(0);
}

std::vector<fault> faults_for(const counted& seen) {
    std::vector<fault> all;
    for (std::size_t number = 1; number <= seen.calls.size(); ++number) {
        for (const failing& how : ways_to_fail(seen.calls[number - 1])) {
            fault each;
            each.what = fault::kind::system_call;
            each.number = number;
            each.at = seen.calls[number - 1];
            each.how = how;
            all.push_back(each);
        }
    }
    for (std::uint64_t number = 1; number <= seen.news; ++number) {
        fault each;
        each.what = fault::kind::operator_new;
        each.number = number;
        all.push_back(each);
    }
    for (unsigned what = 0; what < videocore::operation_count; ++what) {
        for (const std::uint64_t number : seen.tries[what]) {
            for (const failing how : {failing{EIO, 1}, failing{ENOMEM, 1}, failing{EBUSY, 1}, failing{EINVAL, 1},
                                      failing{EPERM, 1}, failing{EINTR, 1}, failing{EINTR, 100}, failing{EAGAIN, 1}}) {
                fault each;
                each.what = fault::kind::videocore;
                each.asked = static_cast<videocore::operation>(what);
                each.number = number;
                each.how = how;
                all.push_back(each);
            }
        }
    }
    return all;
}

/// What lasts as long as the process, above all the index of addresses, grows by where the system happens to map
/// blocks. So it is made before anything is counted, for more places than any scenario needs.
void make_what_lasts() {
    std::vector<vcsm::shared_memory> blocks;
    for (int i = 0; i < 16; ++i) {
        blocks.emplace_back(std::size_t{3} << 20, "large");
    }
    blocks.clear();
    vcsm::videocore::reset();
}

/// In the child. Begins with the fault that the notes name.
void work(const scenario& which, notes& into) {
    make_what_lasts();
    const std::uint64_t first = into.next;
    notes quiet{};
    notes& twice = first == 0 ? into : quiet; // what already goes wrong without any fault is written down once
    counted seen;
    run_once(which, {}, twice, &seen);
    run_once(which, {}, quiet, &seen);
    const std::vector<fault> all = faults_for(seen);
    into.faults = all.size();
    for (; into.next < all.size(); ++into.next) {
        run_once(which, all[static_cast<std::size_t>(into.next)], into);
    }
}

} // namespace

outcome run_with_every_fault(const scenario& which) {
    void* const shared = ::mmap(nullptr, sizeof(notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        std::abort();
    }
    auto* const seen = new (shared) notes{};
    outcome all;
    for (std::size_t deaths = 0; deaths < most_deaths; ++deaths) {
        const pid_t child = ::fork();
        if (child == 0) {
            work(which, *seen);
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            break;
        }
        const bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
        (hung ? all.stuck : all.crashed) += 1;
        write_down(*seen, which.name, seen->working_on.data(),
                   hung                  ? "hung: something stayed locked"
                   : WIFSIGNALED(status) ? std::string{"crashed: "} + ::strsignal(WTERMSIG(status))
                                         : "ended with exit status " + std::to_string(WEXITSTATUS(status)));
        if (seen->faults == 0) {
            break; // it did not even go without faults
        }
        ++seen->injected;
        ++seen->next;
    }
    all.injected += seen->injected;
    all.leaked += seen->leaked;
    all.stuck += seen->stuck;
    all.broken += seen->broken;
    all.report = seen->report.data();
    ::munmap(shared, sizeof(notes));
    return all;
}

} // namespace faults
