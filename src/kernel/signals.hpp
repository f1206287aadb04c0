// Calls that must not be interrupted.
#pragma once

#include <csignal>
#include <pthread.h>

namespace vcsm::kernel {

/// Signals that reach this thread wait until the end of its life. SIGKILL and SIGSTOP cannot be made to wait.
class signals_held {
  public:
    signals_held() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    signals_held(const signals_held&) = delete;
    signals_held& operator=(const signals_held&) = delete;
    ~signals_held() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_{};
};

} // namespace vcsm::kernel
