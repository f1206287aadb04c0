// What programs do with user-vcsm.h.
#include "faults/failing_new.hpp"
#include "faults/scenarios.hpp"

#include "videocore/storage.hpp"

#include <interface/vcsm/user-vcsm.h>
#include <vcsm/vcsm.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace faults {

namespace {

constexpr unsigned block_bytes = 9000;

std::unique_ptr<board> simulated_board() {
    return std::make_unique<board>();
}

std::vector<unsigned char> pattern(std::size_t bytes, unsigned start) {
    std::vector<unsigned char> values(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        values[i] = static_cast<unsigned char>((i * 11 + start) % 253);
    }
    return values;
}

/// errno, where a function's result says that it failed. A function that fails must set it.
template <class Call>
int errno_unless(Call&& went_well) {
    errno = 0;
    if (went_well()) {
        return 0;
    }
    const int said = errno;
    return said == 0 ? EPROTO : said;
}

/// What a function gave that tells its errno in its result: 0, or the errno, which must be errno too.
template <class Call>
int errno_in(Call&& call) {
    errno = 0;
    const int result = call();
    if (result >= 0) {
        return 0;
    }
    return errno == -result ? -result : EPROTO;
}

unsigned locks_of(unsigned handle) {
    for (const vcsm::block_info& known : vcsm::blocks()) {
        if (known.handle == handle) {
            return known.locks;
        }
    }
    return 0;
}

bool write_all_of(unsigned handle, const std::vector<unsigned char>& data) {
    void* const memory = vcsm_lock(handle);
    if (memory == nullptr) {
        return false;
    }
    std::memcpy(memory, data.data(), data.size());
    return vcsm_unlock_hdl(handle) == 0;
}

bool holds(unsigned handle, const std::vector<unsigned char>& expected) {
    const void* const memory = vcsm_lock(handle);
    const bool same = memory != nullptr && std::memcmp(memory, expected.data(), expected.size()) == 0;
    return vcsm_unlock_hdl(handle) == 0 && same;
}

bool videocore_sees(unsigned handle, const std::vector<unsigned char>& expected) {
    std::vector<unsigned char> got(expected.size());
    vcsm::videocore::read(vcsm_vc_hdl_from_hdl(handle), 0, std::as_writable_bytes(std::span{got}));
    return got == expected;
}

/// vcsm_init() and vcsm_exit() around what a scenario does. The exit counts: calls and news of it may fail, too.
class session {
  public:
    explicit session(trial& now) : now_{now} {
        if (vcsm_init() != 0) {
            now_.complain("the service does not start");
        }
    }
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session() {
        now_.act("exit", [] { vcsm_exit(); });
        now_.expect(!vcsm::service_running(), "the service outlives its last vcsm_exit()");
    }

  private:
    trial& now_;
};

void start_and_stop(trial& now) {
    const bool first = now.ask("init", [] { return errno_unless([] { return vcsm_init() == 0; }); });
    now.expect(first == vcsm::service_running(), "a start that failed leaves the service running, or the reverse");
    const bool second =
        now.ask("init with export", [] { return errno_unless([] { return vcsm_init_ex(1, -1) == 0; }); });
    if (first) {
        now.act("exit", [] { vcsm_exit(); });
    }
    now.expect(second == vcsm::service_running(), "the service does not end with its last vcsm_exit()");
    if (second) {
        now.act("exit", [] { vcsm_exit(); });
    }
    now.expect(!vcsm::service_running(), "the service outlives its last vcsm_exit()");
    now.act("exit once too often", [] { vcsm_exit(); });
}

/// What is refused with that errno, or with what was made to fail.
template <class Call>
void refused(trial& now, std::string_view what, int with, Call&& call) {
    int said = 0;
    now.act(what, [&] { said = call(); });
    const bool no_memory = now.planned().what == fault::kind::operator_new;
    now.expect(said == with || (now.struck() && said == (no_memory ? ENOMEM : now.planned().how.errno_value)), what);
}

void before_a_start(trial& now) {
    refused(now, "malloc", ENODEV, [] { return errno_unless([] { return vcsm_malloc(1, "early") != 0; }); });
    refused(now, "lock", EINVAL, [] { return errno_unless([] { return vcsm_lock(1) != nullptr; }); });
    refused(now, "resize", EINVAL, [] { return errno_in([] { return vcsm_resize(1, 1); }); });
    refused(now, "import", ENODEV, [] { return errno_unless([] { return vcsm_import_dmabuf(0, nullptr) != 0; }); });
    refused(now, "export", EINVAL, [] { return errno_in([] { return vcsm_export_dmabuf(1); }); });
    now.expect(!vcsm::service_running(), "the service runs though nobody started it");
}

void allocate(trial& now, unsigned cache) {
    const session running{now};
    unsigned handle = 0;
    const bool made = now.ask("malloc", [&] {
        return errno_unless([&] {
            handle = vcsm_malloc_cache(block_bytes, static_cast<VCSM_CACHE_TYPE_T>(cache), "a block with a long name");
            return handle != 0;
        });
    });
    now.expect(vcsm::blocks().size() == (made ? 1U : 0U), "a block that could not be made is there");
    if (made) {
        now.expect(holds(handle, std::vector<unsigned char>(block_bytes)), "new memory is not zero");
    }
    now.act("free", [&] { vcsm_free(handle); }); // of 0, too
    now.expect(vcsm::blocks().empty(), "it is there after it was freed");
}

/// Of what was used and freed. With VCSM_POOL=1 it is the same memory.
void allocate_again(trial& now, unsigned cache) {
    const session running{now};
    const auto mode = static_cast<VCSM_CACHE_TYPE_T>(cache);
    const unsigned first = vcsm_malloc_cache(block_bytes, mode, "first");
    now.expect(write_all_of(first, pattern(block_bytes, 9)), "it cannot be written");
    now.act("free", [&] { vcsm_free(first); });
    for (int round = 0; round < 2; ++round) {
        unsigned handle = 0;
        const bool made = now.ask("malloc again", [&] {
            return errno_unless([&] {
                handle = vcsm_malloc_cache(block_bytes, mode, "next");
                return handle != 0;
            });
        });
        now.expect(vcsm::blocks().size() == (made ? 1U : 0U), "a block that could not be made is there");
        if (made) {
            const std::vector<unsigned char> zeros(block_bytes);
            now.expect(videocore_sees(handle, zeros) && holds(handle, zeros), "memory that is used again is not zero");
            now.expect(write_all_of(handle, pattern(block_bytes, 5)), "it cannot be written");
        }
        now.act("free", [&] { vcsm_free(handle); }); // of 0, too
        now.expect(vcsm::blocks().empty(), "it is there after it was freed");
    }
}

void copy(trial& now, unsigned cache) {
    const session running{now};
    const unsigned handle = vcsm_malloc_cache(block_bytes, static_cast<VCSM_CACHE_TYPE_T>(cache), "copied");
    const auto data = pattern(block_bytes, 3);
    void* memory = nullptr;
    const bool locked = now.ask("lock", [&] {
        return errno_unless([&] {
            memory = vcsm_lock(handle);
            return memory != nullptr;
        });
    });
    now.expect(locks_of(handle) == (locked ? 1U : 0U), "a lock that failed left it locked");
    if (locked) {
        std::memcpy(memory, data.data(), data.size());
        const bool unlocked = now.ask("unlock", [&] { return errno_in([&] { return vcsm_unlock_hdl(handle); }); });
        now.expect(!unlocked || videocore_sees(handle, data), "VideoCore does not see what was written");
    }
    now.expect(locks_of(handle) == 0, "a failed unlock left it locked");
    refused(now, "unlock once too often", EPERM, [&] { return errno_in([&] { return vcsm_unlock_hdl(handle); }); });
    now.expect(write_all_of(handle, data) && videocore_sees(handle, data), "it is of no use after a failure");
    vcsm_free(handle);
}

void nested_locks(trial& now) {
    const session running{now};
    const unsigned handle = vcsm_malloc_cache(block_bytes, VCSM_CACHE_TYPE_HOST, "nested");
    auto* const first = static_cast<unsigned char*>(vcsm_lock(handle));
    first[0] = 1;
    now.ask("lock again", [&] { return errno_unless([&] { return vcsm_lock(handle) != nullptr; }); });
    const unsigned locks = locks_of(handle);
    for (unsigned i = 0; i < locks; ++i) {
        now.ask("unlock by address", [&] {
            return errno_in([&] { return i % 2 == 0 ? vcsm_unlock_ptr(first + 100) : vcsm_unlock_ptr_sp(first, 1); });
        });
    }
    now.expect(locks_of(handle) == 0, "locks are left");
    const auto data = pattern(block_bytes, 5);
    now.expect(write_all_of(handle, data) && videocore_sees(handle, data), "it is of no use after a failure");
    vcsm_free(handle);
}

void lock_with_another_cache(trial& now, VCSM_CACHE_TYPE_T from, VCSM_CACHE_TYPE_T to) {
    const session running{now};
    const unsigned handle = vcsm_malloc_cache(block_bytes, from, "cached otherwise");
    const auto data = pattern(block_bytes, 7);
    now.expect(write_all_of(handle, data), "it cannot be written");
    VCSM_CACHE_TYPE_T granted = VCSM_CACHE_TYPE_VC;
    const bool locked = now.ask(
        "lock_cache", [&] { return errno_unless([&] { return vcsm_lock_cache(handle, to, &granted) != nullptr; }); });
    now.expect(locks_of(handle) == (locked ? 1U : 0U), "a lock that failed left it locked");
    now.expect(vcsm::blocks().size() == 1, "changing the mode lost the block, or left two");
    if (locked) {
        now.expect(now.struck() || granted == to, "the cache mode is not what was asked for");
        now.expect(std::memcmp(vcsm_usr_address(handle), data.data(), data.size()) == 0, "changing the mode lost data");
        now.ask("unlock", [&] { return errno_in([&] { return vcsm_unlock_hdl_sp(handle, 0); }); });
    }
    now.expect(holds(handle, data), "it is of no use after a failure");
    vcsm_free(handle);
}

void resize(trial& now, unsigned to) {
    const session running{now};
    const unsigned handle = vcsm_malloc_cache(block_bytes, VCSM_CACHE_TYPE_HOST, "resized");
    auto data = pattern(block_bytes, 9);
    now.expect(write_all_of(handle, data), "it cannot be written");
    const bool done = now.ask("resize", [&] { return errno_in([&] { return vcsm_resize(handle, to); }); });
    if (done) {
        data.resize(to);
    }
    now.expect(vcsm::blocks().at(0).size == data.size(), "its size is neither the old nor the new one");
    now.expect(holds(handle, data) && videocore_sees(handle, data), "resizing lost data");
    now.act("resize a locked one", [&] {
        if (vcsm_lock(handle) != nullptr) {
            now.expect(vcsm_resize(handle, 1) != 0, "a locked block was resized");
            (void)vcsm_unlock_hdl(handle);
        }
    });
    now.expect(holds(handle, data), "refusing to resize lost data");
    vcsm_free(handle);
}

void share(trial& now) {
    const session running{now};
    const auto data = pattern(block_bytes, 13);
    const unsigned first = vcsm_malloc(block_bytes, "shared");
    now.expect(write_all_of(first, data), "it cannot be written");
    unsigned second = 0;
    now.ask("malloc_share", [&] {
        return errno_unless([&] {
            second = vcsm_malloc_share(first);
            return second != 0;
        });
    });
    if (second != 0) {
        now.expect(vcsm_lock(first) != nullptr, "it cannot be locked");
        now.act("free one, locked", [&] { vcsm_free(first); });
        now.expect(locks_of(second) == 0, "a handle's lock outlives it");
    }
    const unsigned left = second != 0 ? second : first;
    now.expect(holds(left, data), "freeing one handle freed the block of the other");
    now.act("free", [&] { vcsm_free(left); });
    now.expect(vcsm::blocks().empty(), "it is there after its last handle was freed");
    now.act("free again", [&] { vcsm_free(left); });
}

void export_and_import(trial& now) {
    const session running{now};
    const auto data = pattern(block_bytes, 17);
    const unsigned handle = vcsm_malloc(block_bytes, "exported");
    now.expect(write_all_of(handle, data), "it cannot be written");
    int exported = -1;
    now.ask("export", [&] { return errno_in([&] { return exported = vcsm_export_dmabuf(handle); }); });
    if (exported >= 0) {
        now.expect((::fcntl(exported, F_GETFD) & FD_CLOEXEC) != 0, "an export survives exec");
        unsigned again = 0;
        now.ask("import", [&] {
            return errno_unless([&] {
                again = vcsm_import_dmabuf(exported, "again");
                return again != 0;
            });
        });
        now.expect(::close(exported) == 0, "an import closed the descriptor that it was given");
        now.act("free", [&] { vcsm_free(handle); });
        now.expect(again == 0 || holds(again, data), "the import of an own block is another block");
        vcsm_free(again);
    }
    vcsm_free(handle);
}

void import_foreign(trial& now) {
    const session running{now};
    const vcsm::kernel::unique_fd foreign{vcsm::videocore::make_memfd("foreign", 12288)};
    const auto data = pattern(12288, 19);
    (void)!::pwrite(foreign.get(), data.data(), data.size(), 0);
    unsigned handle = 0;
    now.ask(
        "import",
        [&] {
            return errno_unless([&] {
                handle = vcsm_import_dmabuf(foreign.get(), nullptr);
                return handle != 0;
            });
        },
        EINVAL); // what cannot be asked of a descriptor does not count as known
    now.expect(::fcntl(foreign.get(), F_GETFD) != -1, "an import closed the descriptor that it was given");
    now.expect(handle == 0 || holds(handle, data), "the import shows something else");
    now.act("free", [&] { vcsm_free(handle); });
}

void clean_and_invalidate(trial& now) {
    const session running{now};
    const unsigned handle = vcsm_malloc_cache(8192, VCSM_CACHE_TYPE_HOST, "maintained");
    auto* const memory = static_cast<unsigned char*>(vcsm_lock(handle));
    const auto data = pattern(8192, 21);
    std::memcpy(memory, data.data(), data.size());
    vcsm_user_clean_invalid_s whole{};
    whole.s[0] = {2, handle, static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(memory)), 8192};
    const bool cleaned = now.ask("clean", [&] { return errno_in([&] { return vcsm_clean_invalid(&whole); }); });
    now.expect(!cleaned || videocore_sees(handle, data), "VideoCore does not see what was cleaned");
    alignas(vcsm_user_clean_invalid2_s)
        std::array<std::byte, sizeof(vcsm_user_clean_invalid2_s) +
                                  2 * sizeof(vcsm_user_clean_invalid2_s::vcsm_user_clean_invalid2_block_s)>
            room{};
    auto* const rows = reinterpret_cast<vcsm_user_clean_invalid2_s*>(room.data());
    rows->op_count = 2;
    rows->s[0] = {2, 16, memory, 64, 512};
    rows->s[1] = {3, 1, memory + 4096, 4096, 0};
    now.ask("clean rows", [&] { return errno_in([&] { return vcsm_clean_invalid2(rows); }); });
    rows->s[1].block_size = 4097;
    now.act("clean too much",
            [&] { now.expect(vcsm_clean_invalid2(rows) != 0, "rows that reach out of the block were taken"); });
    now.expect(vcsm_unlock_hdl(handle) == 0 && holds(handle, data), "it is of no use after a failure");
    vcsm_free(handle);
}

/// Prints to /dev/null.
void status(trial& now) {
    const session running{now};
    const unsigned handle = vcsm_malloc(block_bytes, "shown");
    const int error_before = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nowhere, STDERR_FILENO);
    now.act("status", [] {
        vcsm_status(VCSM_STATUS_HOST_WALK_PID_ALLOC, -1);
        vcsm_status(VCSM_STATUS_HOST_WALK_PID_MAP, -1);
        vcsm_status(VCSM_STATUS_HOST_WALK_PID_ALLOC, ::getppid());
        vcsm_status(VCSM_STATUS_HOST_WALK_PID_MAP, ::getppid());
        vcsm_status(VCSM_STATUS_NONE, -1);
    });
    ::dup2(error_before, STDERR_FILENO);
    ::close(nowhere);
    ::close(error_before);
    now.expect(holds(handle, std::vector<unsigned char>(block_bytes)), "showing a block changed it");
    vcsm_free(handle);
}

void questions(trial& now) {
    const session running{now};
    const unsigned handle = vcsm_malloc(block_bytes, "asked");
    auto* const address = static_cast<unsigned char*>(vcsm_usr_address(handle));
    now.expect(address != nullptr, "it has no address");
    const auto asked = [&](std::string_view what, auto&& call) {
        now.ask(what, [&] { return errno_unless([&] { return call() != 0; }); });
    };
    asked("handle of an address", [&] { return vcsm_usr_handle(address + 5000); });
    asked("VideoCore handle of an address", [&] { return vcsm_vc_hdl_from_ptr(address + 8999); });
    asked("VideoCore handle", [&] { return vcsm_vc_hdl_from_hdl(handle); });
    asked("bus address", [&] { return vcsm_vc_addr_from_hdl(handle); });
    vcsm_free(handle);
    refused(now, "VideoCore handle of nothing", EINVAL,
            [&] { return errno_unless([&] { return vcsm_vc_hdl_from_hdl(handle) != 0; }); });
    now.act("ask for nothing", [&] {
        now.expect(vcsm_usr_address(handle) == nullptr && errno == EINVAL, "a freed block has an address");
        now.expect(vcsm_usr_handle(address) == 0 && errno == EINVAL, "a freed block's address has a handle");
        now.expect(vcsm_vc_hdl_from_ptr(address) == 0 && errno == EINVAL, "a freed block has a VideoCore handle");
    });
}

void bad_arguments(trial& now) {
    const session running{now};
    refused(now, "size 0", EINVAL, [] { return errno_unless([] { return vcsm_malloc(0, "none") != 0; }); });
    refused(now, "no cache mode", EINVAL, [] {
        return errno_unless([] { return vcsm_malloc_cache(1, static_cast<VCSM_CACHE_TYPE_T>(4), "odd") != 0; });
    });
    refused(now, "more than there is", ENOMEM,
            [] { return errno_unless([] { return vcsm_malloc(1U << 31U, "all") != 0; }); });
    refused(now, "no handle", EINVAL, [] { return errno_unless([] { return vcsm_lock(77) != nullptr; }); });
    refused(now, "no handle to share", EINVAL, [] { return errno_unless([] { return vcsm_malloc_share(77) != 0; }); });
    refused(now, "no handle to unlock", EINVAL, [] { return errno_in([] { return vcsm_unlock_hdl(77); }); });
    refused(now, "no address", EINVAL, [] { return errno_in([] { return vcsm_unlock_ptr(nullptr); }); });
    refused(now, "no list", EINVAL, [] { return errno_in([] { return vcsm_clean_invalid(nullptr); }); });
    refused(now, "no descriptor", EBADF,
            [] { return errno_unless([] { return vcsm_import_dmabuf(-1, "none") != 0; }); });
}

void exit_with_live_blocks(trial& now) {
    {
        const session running{now};
        std::array<unsigned, 5> handles{};
        for (unsigned& each : handles) {
            each = vcsm_malloc_cache(
                block_bytes, (&each - handles.data()) % 2 == 0 ? VCSM_CACHE_TYPE_NONE : VCSM_CACHE_TYPE_HOST, "live");
        }
        (void)vcsm_lock(handles[0]);
        (void)vcsm_lock(handles[1]);
        (void)vcsm_malloc_share(handles[2]);
        const int exported = vcsm_export_dmabuf(handles[3]);
        ::close(exported);
    }
    now.expect(vcsm::blocks().empty(), "blocks outlive the last vcsm_exit()");
}

/// Where locking is a system call, on the kernel interfaces of boards.
std::function<void(trial&)> on_device(const char* device, VCSM_CACHE_TYPE_T cache) {
    return [=](trial& now) {
        {
            const news_unwatched not_the_librarys;
            ::setenv("VCSM_DEVICE", device, 1);
        }
        const bool started = now.ask("init", [] { return errno_unless([] { return vcsm_init() == 0; }); });
        ::setenv("VCSM_DEVICE", "simulated", 1);
        if (!started) {
            return;
        }
        const auto data = pattern(block_bytes, 23);
        unsigned handle = 0;
        now.ask("malloc", [&] {
            return errno_unless([&] {
                handle = vcsm_malloc_cache(block_bytes, cache, "frame");
                return handle != 0;
            });
        });
        if (handle != 0) {
            void* memory = nullptr;
            now.ask("lock", [&] {
                return errno_unless([&] {
                    memory = vcsm_lock(handle);
                    return memory != nullptr;
                });
            });
            if (memory != nullptr) {
                std::memcpy(memory, data.data(), data.size());
                now.ask("unlock", [&] { return errno_in([&] { return vcsm_unlock_ptr(memory); }); });
            }
            now.expect(locks_of(handle) == 0, "it is left locked");
            now.expect(write_all_of(handle, data) && holds(handle, data), "it is of no use after a failure");
            const bool resized =
                now.ask("resize", [&] { return errno_in([&] { return vcsm_resize(handle, 20000); }); });
            now.expect(vcsm::blocks().at(0).size == (resized ? 20000U : block_bytes), "its size is another");
            now.expect(holds(handle, data), "resizing lost data");
        }
        now.act("exit", [] { vcsm_exit(); });
        now.expect(!vcsm::service_running(), "the service outlives its last vcsm_exit()");
    };
}

} // namespace

std::vector<scenario> c_scenarios() {
    const auto on = simulated_board;
    return {
        {"c_start_and_stop", on, start_and_stop},
        {"c_before_a_start", on, before_a_start},
        {"c_malloc", on, [](trial& now) { allocate(now, VCSM_CACHE_TYPE_NONE); }},
        {"c_malloc_cached", on, [](trial& now) { allocate(now, VCSM_CACHE_TYPE_HOST); }},
        {"c_malloc_pinned", on, [](trial& now) { allocate(now, VCSM_CACHE_TYPE_HOST | 0x80U); }},
        {"c_malloc_again", on, [](trial& now) { allocate_again(now, VCSM_CACHE_TYPE_NONE); }},
        {"c_malloc_again_cached", on, [](trial& now) { allocate_again(now, VCSM_CACHE_TYPE_HOST); }},
        {"c_copy_uncached", on, [](trial& now) { copy(now, VCSM_CACHE_TYPE_NONE); }},
        {"c_copy_cached", on, [](trial& now) { copy(now, VCSM_CACHE_TYPE_HOST); }},
        {"c_nested_locks", on, nested_locks},
        {"c_lock_cache", on,
         [](trial& now) { lock_with_another_cache(now, VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST); }},
        {"c_lock_uncached", on,
         [](trial& now) { lock_with_another_cache(now, VCSM_CACHE_TYPE_HOST, VCSM_CACHE_TYPE_NONE); }},
        {"c_grow", on, [](trial& now) { resize(now, 30000); }},
        {"c_shrink", on, [](trial& now) { resize(now, 100); }},
        {"c_malloc_share", on, share},
        {"c_export_and_import", on, export_and_import},
        {"c_import_foreign", on, import_foreign},
        {"c_clean_invalid", on, clean_and_invalidate},
        {"c_status", on, status},
        {"c_questions", on, questions},
        {"c_bad_arguments", on, bad_arguments},
        {"c_exit_with_live_blocks", on, exit_with_live_blocks},
        {"c_on_vcsm_cma", a_raspberry_pi, on_device("vcsm-cma", VCSM_CACHE_TYPE_NONE)},
        {"c_on_vcsm_cma_cached", a_raspberry_pi, on_device("vcsm-cma", VCSM_CACHE_TYPE_HOST)},
        {"c_on_dma_heap", a_raspberry_pi, on_device("dma-heap:linux,cma", VCSM_CACHE_TYPE_HOST)},
    };
}

} // namespace faults
