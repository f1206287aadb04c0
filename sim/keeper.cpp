#include "keeper.hpp"

#include "launch.hpp"
#include "scratch.hpp"
#include "supervisor.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

constexpr std::array passed_on{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

int supervisor_process(const options& chosen, kernel::unique_fd keeper, scratch_directory& scratch) {
    int code = exit_own_failure;
    try {
        code = supervise(chosen, std::move(keeper), scratch.path());
    } catch (const std::exception& problem) {
        std::cerr << "vcsm-sim: " << problem.what() << '\n';
    }
    scratch.remove(); // the keeper may be gone
    return code;
}

} // namespace

int keep(const options& chosen) {
    scratch_directory scratch;
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
        kernel::throw_errno("socketpair");
    }
    kernel::unique_fd ours{pair[0]};
    kernel::unique_fd theirs{pair[1]};
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t wanted;
    ::sigemptyset(&wanted);
    ::sigaddset(&wanted, SIGCHLD);
    for (const int number : passed_on) {
        ::sigaddset(&wanted, number);
    }
    sigset_t before;
    ::sigprocmask(SIG_BLOCK, &wanted, &before);
    const pid_t supervisor = ::fork();
    if (supervisor < 0) {
        kernel::throw_errno("fork");
    }
    if (supervisor == 0) {
        ours.reset();
        ::_exit(supervisor_process(chosen, std::move(theirs), scratch));
    }
    theirs.reset();
    ::prctl(PR_SET_NAME, "vcsm-sim-keeper");
    const kernel::unique_fd signals{::signalfd(-1, &wanted, SFD_CLOEXEC)};
    kernel::unique_fd listener;
    pid_t program = 0;
    for (;;) {
        std::array<pollfd, 2> watched{pollfd{signals.get(), POLLIN, 0}, pollfd{ours.get(), POLLIN, 0}};
        if (::poll(watched.data(), watched.size(), -1) < 0) {
            continue;
        }
        if ((watched[1].revents & POLLIN) != 0) {
            received got = receive_descriptor(ours.get());
            if (got.descriptor) {
                listener = std::move(got.descriptor);
                program = got.number;
            }
        }
        if ((watched[1].revents & (POLLHUP | POLLERR)) != 0) {
            ours.reset(); // its end comes as a signal
        }
        if ((watched[0].revents & POLLIN) == 0) {
            continue;
        }
        signalfd_siginfo came{};
        if (::read(signals.get(), &came, sizeof came) != static_cast<ssize_t>(sizeof came)) {
            continue;
        }
        if (came.ssi_signo != SIGCHLD) {
            // What the terminal sends, it sends to the program too.
            if (program > 0 && came.ssi_code <= 0) {
                ::kill(program, static_cast<int>(came.ssi_signo));
            }
            continue;
        }
        int status = 0;
        for (pid_t over = ::waitpid(-1, &status, WNOHANG); over > 0; over = ::waitpid(-1, &status, WNOHANG)) {
            if (over != supervisor) {
                continue;
            }
            if (WIFEXITED(status)) {
                return WEXITSTATUS(status);
            }
            const unsigned ended = end_descendants(::getpid());
            std::cerr << "vcsm-sim: the supervisor was ended by signal " << WTERMSIG(status) << " ("
                      << ::strsignal(WTERMSIG(status)) << "); ended its programs: " << ended << '\n';
            return exit_own_failure;
        }
    }
}

} // namespace vcsm::sim
