#include "supervisor.hpp"

#include "control.hpp"
#include "launch.hpp"
#include "nodes/vcio.hpp"
#include "nodes/vcsm_legacy.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <system_error>

#include <linux/audit.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

// What an event in the loop is about: a kind in the upper half, a descriptor or a process in the lower.
enum class source : std::uint32_t { call, process, gone, signal, keeper, control, connection };

std::uint64_t tag(source what, int number = 0) {
    return static_cast<std::uint64_t>(what) << 32 | static_cast<std::uint32_t>(number);
}

class supervisor {
  public:
    supervisor(const options& chosen, kernel::unique_fd keeper, const std::string& scratch);
    int run();

  private:
    void watch(int descriptor, std::uint64_t tagged, std::uint32_t events = EPOLLIN);
    /// False: nothing more can come from the programs.
    bool handle(const epoll_event& event);
    void next_call();
    [[nodiscard]] answer dispatch(const request& asked);
    void process_gone(pid_t process);
    void reap();
    void finish();

    const options& chosen_;
    kernel::unique_fd keeper_;
    std::string control_path_;
    control control_;
    kernel::unique_fd epoll_;
    kernel::unique_fd signals_;
    filter filter_;
    launched program_;
    std::unique_ptr<simulation> all_;
    int status_ = exit_own_failure;
    bool program_over_ = false;
};

kernel::unique_fd signal_descriptor() {
    sigset_t wanted;
    ::sigemptyset(&wanted);
    ::sigaddset(&wanted, SIGCHLD);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE}) {
        ::sigaddset(&wanted, number);
    }
    ::sigprocmask(SIG_BLOCK, &wanted, nullptr);
    sigset_t children;
    ::sigemptyset(&children);
    ::sigaddset(&children, SIGCHLD);
    return kernel::unique_fd{::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK)};
}

/// Takes as many descriptors as are allowed, one a block; gives the limit that the program is to have.
unsigned long raise_descriptor_limit() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    const unsigned long before = files.rlim_cur;
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    return before;
}

supervisor::supervisor(const options& chosen, kernel::unique_fd keeper, const std::string& scratch)
    : chosen_{chosen}, keeper_{std::move(keeper)}, control_path_{chosen.control_path.empty() ? scratch + "/control"
                                                                                             : chosen.control_path},
      control_{control_path_}, epoll_{::epoll_create1(EPOLL_CLOEXEC)}, signals_{signal_descriptor()},
      filter_{make_filter(chosen.faults.find("map@") != std::string::npos)} {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (const std::string lacking = what_the_kernel_lacks(); !lacking.empty()) {
        throw std::runtime_error{lacking};
    }
    const unsigned long file_limit = raise_descriptor_limit();
    program_ = launch(chosen.command, filter_.program, control_path_, file_limit);
    try {
        send_descriptor(keeper_.get(), program_.listener.get(), program_.process);
        all_ = std::make_unique<simulation>(chosen, std::make_unique<listener>(std::move(program_.listener)),
                                            scratch + "/root");
    } catch (...) {
        end_descendants(::getpid()); // without a supervisor it would wait for ever
        throw;
    }
    all_->epoll = epoll_.get();
    watch(all_->listener->get(), tag(source::call));
    watch(all_->lifetimes.descriptor(), tag(source::gone));
    watch(signals_.get(), tag(source::signal));
    watch(keeper_.get(), tag(source::keeper));
    watch(control_.descriptor(), tag(source::control));
    all_->watch_process(program_.process);
}

void supervisor::watch(int descriptor, std::uint64_t tagged, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tagged;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) {
        kernel::throw_errno("epoll_ctl");
    }
}

answer supervisor::dispatch(const request& asked) {
    switch (asked.what) {
    case call::open:
    case call::openat:
    case call::openat2:
    case call::creat:
        return open_file(*all_, asked);
    case call::access:
    case call::faccessat:
    case call::faccessat2:
        return check_access(*all_, asked);
    case call::stat:
    case call::lstat:
    case call::stat64:
    case call::lstat64:
    case call::newfstatat:
    case call::fstatat64:
    case call::statx:
        return look_at_file(*all_, asked);
    case call::readlink:
    case call::readlinkat:
        return read_link(*all_, asked);
    case call::getxattr:
    case call::lgetxattr:
        return get_attribute(*all_, asked);
    case call::getdents:
    case call::getdents64:
        return list_directory(*all_, asked);
    case call::ioctl:
        return control_device(*all_, asked);
    case call::lseek:
    case call::llseek:
    case call::ftruncate:
    case call::ftruncate64:
    case call::fallocate:
    case call::fsync:
    case call::fdatasync:
        return use_descriptor(*all_, asked);
    case call::msync:
    case call::mremap:
    case call::madvise:
        return use_mapping(*all_, asked);
    case call::mmap:
    case call::mmap2:
        return map_file(*all_, asked);
    case call::chroot:
        all_->paths.roots_may_differ = true;
        return answer::pass();
    case call::execve:
    case call::execveat:
        if (const auto known = all_->processes.find(asked.who.thread()); known != all_->processes.end()) {
            known->second.name.clear(); // it will have another
        }
        all_->notice_what_is_gone();
        if (!all_->buffers.all().empty()) {
            all_->buffers.process_execs(all_->process_of(asked.who));
        }
        return answer::pass();
    case call::exit:
        if (status_number(text_of(asked.who.proc("status")), "Threads").value_or(1) > 1) {
            return answer::pass();
        }
        [[fallthrough]];
    case call::exit_group: {
        all_->notice_what_is_gone();
        const bool holds_nothing = all_->buffers.all().empty() && !all_->legacy && !all_->mailbox;
        const pid_t process = holds_nothing && all_->processes.empty() ? 0 : all_->process_of(asked.who);
        if (const auto known = all_->processes.find(process); known != all_->processes.end()) {
            known->second.exits = true;
        } else if (!all_->buffers.all().empty()) {
            all_->watch_process(process);
            all_->processes[process].exits = true;
        }
        all_->buffers.process_ends(process);
        if (all_->legacy) {
            all_->legacy->process_ends(process);
        }
        if (all_->mailbox) {
            all_->mailbox->process_ends(process);
        }
        return answer::pass();
    }
    }
    return answer::pass();
}

void supervisor::next_call() {
    const seccomp_notif* const waiting = all_->listener->receive();
    if (waiting == nullptr) {
        return;
    }
    request asked;
    asked.id = waiting->id;
    asked.who = target{static_cast<pid_t>(waiting->pid)};
    asked.narrow = (waiting->data.arch & __AUDIT_ARCH_64BIT) == 0;
    for (std::size_t i = 0; i < asked.arguments.size(); ++i) {
        asked.arguments[i] = waiting->data.args[i];
    }
    const auto known = filter_.calls.find({waiting->data.arch, waiting->data.nr});
    answer made;
    if (known != filter_.calls.end()) {
        asked.what = known->second;
        try {
            made = dispatch(asked);
        } catch (const std::system_error& problem) {
            made = answer::failure(problem.code().value());
        } catch (const std::bad_alloc&) {
            made = answer::failure(ENOMEM);
        }
    }
    constexpr std::size_t most_errors = 1000; // a program may fail for ever
    if (made.what != answer::kind::pass && made.error != 0 && asked.what == call::ioctl &&
        all_->report.errors.size() < most_errors) {
        finding failed = all_->about(asked, "ioctl " + hexadecimal(asked.word(1)), ::strerrorname_np(made.error));
        all_->report.errors.push_back(std::move(failed));
    }
    if (all_->trace.wanted()) {
        if (made.what == answer::kind::pass) {
            all_->trace.forget();
        } else {
            all_->trace.result(asked.who.thread(), made.value, made.error);
        }
    }
    if (made.what == answer::kind::pass) {
        all_->listener->let_pass(asked.id);
    } else if (made.what == answer::kind::value) {
        all_->listener->answer(asked.id, made.value, made.error);
    }
}

void supervisor::process_gone(pid_t process) {
    all_->notice_what_is_gone();
    const auto found = all_->processes.find(process);
    if (found == all_->processes.end()) {
        return;
    }
    if (all_->mailbox && !found->second.exits) {
        all_->mailbox->process_ends(process);
    }
    all_->buffers.process_gone(process);
    all_->processes.erase(found);
}

void supervisor::reap() {
    std::array<signalfd_siginfo, 16> ignored;
    while (::read(signals_.get(), ignored.data(), sizeof ignored) > 0) {
    }
    int status = 0;
    for (pid_t process = ::waitpid(-1, &status, WNOHANG); process > 0; process = ::waitpid(-1, &status, WNOHANG)) {
        process_gone(process);
        if (process == program_.process) {
            program_over_ = true;
            status_ = WIFSIGNALED(status) ? exit_signal_base + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
}

bool supervisor::handle(const epoll_event& event) {
    const auto number = static_cast<int>(event.data.u64 & UINT32_MAX);
    switch (static_cast<source>(event.data.u64 >> 32)) {
    case source::call:
        if ((event.events & EPOLLIN) != 0) {
            next_call();
            return true;
        }
        return (event.events & EPOLLHUP) == 0;
    case source::process:
        process_gone(number);
        return true;
    case source::gone:
        all_->notice_what_is_gone();
        return true;
    case source::signal:
        reap();
        return true;
    case source::keeper: {
        std::cerr << "vcsm-sim: the process that was started as vcsm-sim is gone; ended its programs\n";
        end_descendants(::getpid());
        return false;
    }
    case source::control:
        if (const int connection = control_.accept(); connection >= 0) {
            watch(connection, tag(source::connection, connection));
        }
        return true;
    case source::connection:
        if (!control_.serve(*all_, number)) {
            control_.close(number);
        }
        return true;
    }
    return true;
}

void supervisor::finish() {
    while (!program_over_) {
        int status = 0;
        const pid_t process = ::waitpid(program_.process, &status, 0);
        if (process == program_.process) {
            program_over_ = true;
            status_ = WIFSIGNALED(status) ? exit_signal_base + WTERMSIG(status) : WEXITSTATUS(status);
        } else if (errno != EINTR) {
            break;
        }
    }
    all_->notice_what_is_gone(true);
    all_->buffers.finish();
    if (all_->mailbox) {
        all_->mailbox->finish();
    }
    all_->report.fragmentation = std::max(0.0, all_->report.fragmentation);
    if (!chosen_.quiet) {
        write_text(std::cerr, all_->report);
    }
    if (!chosen_.report_path.empty()) {
        std::ofstream file{chosen_.report_path};
        write_json(file, all_->report);
        file.flush();
        if (!file) {
            std::cerr << "vcsm-sim: cannot write the report to \"" << chosen_.report_path << "\"\n";
            status_ = status_ == 0 ? exit_own_failure : status_;
        }
    }
    if (chosen_.error_exit_code >= 0 && (!all_->report.leaks.empty() || !all_->report.kernel_crashes.empty())) {
        status_ = chosen_.error_exit_code;
    }
}

int supervisor::run() {
    std::array<epoll_event, 16> events;
    for (bool more = true; more;) {
        const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
        if (count < 0 && errno != EINTR) {
            kernel::throw_errno("epoll_wait");
        }
        for (int i = 0; i < count && more; ++i) {
            more = handle(events[static_cast<std::size_t>(i)]);
        }
    }
    finish();
    return status_;
}

} // namespace

int supervise(const options& chosen, kernel::unique_fd keeper, const std::string& scratch) {
    return supervisor{chosen, std::move(keeper), scratch}.run();
}

} // namespace vcsm::sim
