#include "launch.hpp"

#include "seccomp.hpp"
#include "supervisor.hpp"
#include "target.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <set>
#include <stdexcept>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vcsm::sim {

void send_descriptor(int socket, int descriptor, int number) {
    iovec data{&number, sizeof number};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (descriptor >= 0) {
        message.msg_control = room.data();
        message.msg_controllen = room.size();
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof descriptor);
        std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
        kernel::throw_errno("sendmsg");
    }
}

received receive_descriptor(int socket) {
    received got;
    iovec data{&got.number, sizeof got.number};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    const ssize_t bytes = kernel::retried([&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
    if (bytes < 0) {
        kernel::throw_errno("recvmsg");
    }
    if (bytes == 0) {
        got.number = -ECONNRESET;
        return got;
    }
    const cmsghdr* const header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
        got.descriptor.reset(descriptor);
    }
    return got;
}

namespace {

std::string why_no_filter(int error) {
    switch (error) {
    case EBUSY:
        return "another seccomp listener is already there: vcsm-sim cannot run inside vcsm-sim, nor inside a container "
               "or sandbox that intercepts system calls in the same way; start it outside";
    case EINVAL:
        return "this kernel is too old: seccomp's WAIT_KILLABLE_RECV came with Linux 5.19";
    case EPERM:
    case EACCES:
    case ENOSYS:
        return "this container forbids seccomp(2); allow it (Docker: --security-opt seccomp=unconfined)";
    default:
        return std::string{"seccomp(2): "} + std::strerror(error);
    }
}

[[noreturn]] void become(const std::vector<std::string>& command, const std::vector<sock_filter>& program,
                         const std::string& control_path, unsigned long file_limit, int socket) {
    // Everything that may allocate or open a file happens before the filter is in force: after it, only the
    // supervisor's answers let such calls go on, and it answers once it has the listener.
    ::setenv("VCSM_SIM_CONTROL", control_path.c_str(), 1);
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& each : command) {
        arguments.push_back(const_cast<char*>(each.c_str()));
    }
    arguments.push_back(nullptr);
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = file_limit;
    ::setrlimit(RLIMIT_NOFILE, &files);
    for (int number = 1; number < NSIG; ++number) {
        if (number == SIGPIPE || number == SIGCHLD) {
            ::signal(number, SIG_DFL);
        }
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);

    const int listener = install_filter(program);
    send_descriptor(socket, listener, listener);
    if (listener >= 0) {
        ::close(listener);
        ::execvp(arguments[0], arguments.data());
    }
    const int error = errno;
    if (listener >= 0) {
        std::fprintf(stderr, "vcsm-sim: cannot run \"%s\": %s\n", arguments[0], std::strerror(error));
    }
    ::_exit(error == ENOENT ? exit_not_found : exit_cannot_run);
}

} // namespace

launched launch(const std::vector<std::string>& command, const std::vector<sock_filter>& program,
                const std::string& control_path, unsigned long file_limit) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
        kernel::throw_errno("socketpair");
    }
    const kernel::unique_fd ours{pair[0]};
    kernel::unique_fd theirs{pair[1]};
    launched made;
    made.process = ::fork();
    if (made.process < 0) {
        kernel::throw_errno("fork");
    }
    if (made.process == 0) {
        become(command, program, control_path, file_limit, theirs.get());
    }
    theirs.reset();
    received got = receive_descriptor(ours.get());
    if (!got.descriptor) {
        int status = 0;
        ::waitpid(made.process, &status, 0);
        throw std::runtime_error{why_no_filter(-got.number)};
    }
    made.listener = std::move(got.descriptor);
    return made;
}

unsigned end_descendants(pid_t ancestor) {
    std::set<pid_t> ended;
    // Processes may be forked while others are ended, so it takes rounds; a killed one cannot fork any more.
    constexpr int most_rounds = 500;
    for (int round = 0; round < most_rounds; ++round) {
        std::map<pid_t, pid_t> parents;
        for (const std::string& name : kernel::list_directory("/proc")) {
            pid_t process = 0;
            const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), process);
            if (problem == std::errc{} && end == name.data() + name.size()) {
                parents[process] = parent_of(process);
            }
        }
        bool any = false;
        for (const auto& [process, parent] : parents) {
            pid_t at = parent;
            for (std::size_t steps = 0; at > 1 && at != ancestor && steps < parents.size(); ++steps) {
                const auto next = parents.find(at);
                at = next == parents.end() ? 0 : next->second;
            }
            if (at == ancestor && process != ancestor) {
                any = true;
                ended.insert(process);
                ::kill(process, SIGKILL);
            }
        }
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        if (!any) {
            break;
        }
        ::usleep(2000);
    }
    return static_cast<unsigned>(ended.size());
}

} // namespace vcsm::sim
