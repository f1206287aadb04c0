#include "guard.hpp"

#include "guard_report.hpp"
#include "kernel/lasting.hpp"
#include "kernel/syscalls.hpp"
#include "log.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

namespace vcsm::detail {

namespace {

// Entries are never freed but used again: the handler may be reading one.
std::atomic<guard::entry*> entries{nullptr};
constinit kernel::lasting<std::mutex> entries_mutex;

struct sigaction before {};

void hand_on(int number, siginfo_t* info, void* context) noexcept {
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        // What nobody handles ends the process when the access is made again. Ignoring such a signal does so too.
        struct sigaction usual {};
        usual.sa_handler = SIG_DFL;
        ::sigaction(number, &usual, nullptr);
    }
}

void handle(int number, siginfo_t* info, void* context) noexcept {
    const int saved = errno;
    // A kill(2) has no address.
    if (info->si_code > 0) {
        const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
        const pid_t self = ::getpid();
        for (const guard::entry* each = entries.load(std::memory_order_acquire); each != nullptr; each = each->next) {
            const std::uintptr_t first = each->first.load(std::memory_order_acquire);
            if (first != 0 && address - first < each->bytes.load(std::memory_order_relaxed) &&
                each->owner.load(std::memory_order_relaxed) == self) {
                guard_report(*each, address - first, context);
                break;
            }
        }
    }
    hand_on(number, info, context);
    errno = saved;
}

void install_handler() {
    static const bool installed = [] {
        struct sigaction ours {};
        ours.sa_sigaction = handle;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
        ::sigemptyset(&ours.sa_mask);
        if (::sigaction(SIGSEGV, &ours, &before) != 0) {
            kernel::throw_errno("sigaction");
        }
        return true;
    }();
    (void)installed;
}

guard::entry& free_entry() {
    for (guard::entry* each = entries.load(std::memory_order_acquire); each != nullptr; each = each->next) {
        if (!each->used) {
            return *each;
        }
    }
    auto* const made = new guard::entry;
    made->next = entries.load(std::memory_order_relaxed);
    entries.store(made, std::memory_order_release);
    return *made;
}

} // namespace

bool guard::wanted() noexcept {
    static const bool asked = [] {
        const char* const word = ::secure_getenv("VCSM_GUARD");
        return word != nullptr && std::string_view{word} == "1";
    }();
    return asked;
}

std::unique_ptr<guard> guard::over(std::byte* first, std::size_t bytes, const std::string& block) {
    const std::size_t inside_page = kernel::page_size() - 1;
    if (!wanted() || ((reinterpret_cast<std::uintptr_t>(first) | bytes) & inside_page) != 0) {
        return nullptr;
    }
    install_handler();
    entry* told = nullptr;
    {
        const std::lock_guard alone{entries_mutex.own};
        told = &free_entry();
        told->used = true;
    }
    const std::size_t shown = std::min(block.size(), told->name.size() - 1);
    std::memcpy(told->name.data(), block.data(), shown);
    told->name[shown] = '\0';
    told->state.store(entry::never_locked, std::memory_order_relaxed);
    told->bytes.store(bytes, std::memory_order_relaxed);
    told->owner.store(::getpid(), std::memory_order_relaxed);
    told->first.store(reinterpret_cast<std::uintptr_t>(first), std::memory_order_release);
    std::unique_ptr<guard> made;
    try {
        made.reset(new guard{first, bytes, *told});
    } catch (...) {
        told->first.store(0, std::memory_order_release);
        told->used = false;
        throw;
    }
    if (const int failed = made->become(state::closed); failed != 0) {
        errno = failed;
        kernel::throw_errno("mprotect");
    }
    return made;
}

guard::guard(std::byte* first, std::size_t bytes, entry& told) noexcept : first_{first}, bytes_{bytes}, told_{&told} {}

guard::~guard() {
    if (told_ != nullptr) {
        (void)become(state::open);
        forget();
    }
}

void guard::forget() noexcept {
    if (told_ != nullptr) {
        told_->first.store(0, std::memory_order_release);
        told_->used.store(false, std::memory_order_release);
        told_ = nullptr;
    }
}

int guard::become(state wanted) noexcept {
    if (told_ == nullptr || wanted == now_) {
        return 0;
    }
    const int protection = wanted == state::open       ? PROT_READ | PROT_WRITE
                           : wanted == state::readable ? PROT_READ
                                                       : PROT_NONE;
    if (kernel::system().mprotect(first_, bytes_, protection) != 0) {
        return errno;
    }
    now_ = wanted;
    return 0;
}

void guard::open() {
    if (const int failed = become(state::open); failed != 0) {
        errno = failed;
        kernel::throw_errno("mprotect");
    }
}

void guard::count_lock(bool writes) noexcept {
    ++(writes ? writers_ : readers_);
}

void guard::count_unlock(bool writes) noexcept {
    --(writes ? writers_ : readers_);
    if (told_ != nullptr && readers_ + writers_ == 0) {
        struct timespec now {};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        told_->unlocked_seconds.store(now.tv_sec, std::memory_order_relaxed);
        told_->unlocked_nanoseconds.store(now.tv_nsec, std::memory_order_relaxed);
        told_->unlocked_by.store(::gettid(), std::memory_order_relaxed);
    }
}

void guard::settle() noexcept {
    if (told_ == nullptr) {
        return;
    }
    const state wanted = writers_ > 0 ? state::open : readers_ > 0 ? state::readable : state::closed;
    if (wanted == state::readable) {
        told_->state.store(entry::locked_to_read, std::memory_order_relaxed);
    } else if (wanted == state::closed && told_->unlocked_by.load(std::memory_order_relaxed) != 0) {
        told_->state.store(entry::unlocked, std::memory_order_relaxed);
    }
    if (const int failed = become(wanted); failed != 0) {
        log::error("VCSM_GUARD could not close a block: stray accesses to it will not be noticed");
    }
}

} // namespace vcsm::detail
