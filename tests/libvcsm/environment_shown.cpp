// A program that prints what each of the library's environment variables can change. Run by set_user_id_test.
#include <interface/vcsm/user-vcsm.h>

#include <vcsm/vcsm.hpp>

#include <cerrno>
#include <cstdio>

#include <unistd.h>

namespace {

void show() {
    constexpr unsigned bytes = 100000;
    std::setvbuf(stdout, nullptr, _IONBF, 0);
    if (vcsm_init() != 0) {
        std::printf("no service: %d\n", errno); // VCSM_DEVICE
        return;
    }
    const unsigned handle = vcsm_malloc(bytes, "seen");
    std::printf("a block: %s\n", handle != 0 ? "yes" : "no"); // VCSM_SIM_MEMORY, VCSM_SIM_FAULTS
    auto* const memory = static_cast<volatile char*>(vcsm_lock(handle));
    if (memory == nullptr) {
        (void)vcsm_lock(0); // VCSM_LOG
        return;
    }
    vcsm_unlock_hdl(handle);
    if (vcsm_malloc(bytes, "second") == 0) {
        std::printf("no second\n");
    }
    vcsm_free(handle);
    std::printf("blocks that VideoCore has: %zu\n", vcsm::videocore::list().size()); // VCSM_POOL
    const unsigned guarded = vcsm_malloc(bytes, "guarded");
    auto* const stray = static_cast<volatile char*>(vcsm_lock(guarded));
    vcsm_unlock_hdl(guarded);
    stray[0] = 'x'; // VCSM_GUARD
    std::printf("written to after unlock\n");
}

} // namespace

int main() {
    show();
    ::_exit(0); // LeakSanitizer may not look at a set-user-ID program, and would fail
}
