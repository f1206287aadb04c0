#include "interrupt.hpp"

#include <csignal>
#include <cstdlib>
#include <initializer_list>

namespace tool {

namespace {

volatile std::sig_atomic_t noted = 0;

constexpr std::initializer_list<int> signals{SIGINT, SIGTERM, SIGHUP};

void note(int signal) {
    noted = signal;
}

} // namespace

void note_interrupts() {
    struct sigaction action {};
    action.sa_handler = note; // no SA_RESTART: a blocking read ends
    for (const int signal : signals) {
        ::sigaction(signal, &action, nullptr);
    }
}

void throw_if_interrupted() {
    if (noted != 0) {
        throw interrupted{noted};
    }
}

void wait_for_interrupt() {
    sigset_t blocked;
    sigset_t before;
    ::sigemptyset(&blocked);
    for (const int signal : signals) {
        ::sigaddset(&blocked, signal);
    }
    // Blocked while it is asked whether one came, so that none slips in between.
    ::sigprocmask(SIG_BLOCK, &blocked, &before);
    while (noted == 0) {
        ::sigsuspend(&before);
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

void end_by(interrupted what) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(what.signal, &action, nullptr);
    ::raise(what.signal);
    std::_Exit(128 + what.signal);
}

} // namespace tool
