// For preset coverage alone: many tests watch how a child process ends, which is by _exit() or by a signal, and what
// such a process ran is written down only where it does so itself.
#include <csignal>
#include <cstdlib>

#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" {

void __gcov_dump();
void __gcov_reset();

[[noreturn]] void _exit(int status) {
    __gcov_dump();
    for (;;) {
        ::syscall(SYS_exit_group, status);
    }
}

// What a guard does last before the process dies.
int sigaction(int number, const struct sigaction* wanted, struct sigaction* before) noexcept {
    using function = int(int, const struct sigaction*, struct sigaction*);
    static auto* const real = reinterpret_cast<function*>(::dlsym(RTLD_NEXT, "sigaction"));
    if (number == SIGSEGV && wanted != nullptr && wanted->sa_handler == SIG_DFL) {
        __gcov_dump();
        __gcov_reset();
    }
    return real(number, wanted, before);
}
}
