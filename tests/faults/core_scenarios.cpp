// What programs do with blocks, on the simulated VideoCore.
#include "faults/scenarios.hpp"

#include "device/simulated.hpp"
#include "videocore/storage.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <numeric>
#include <optional>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace faults {

namespace {

using vcsm::cache_mode;
using vcsm::shared_memory;

std::unique_ptr<board> simulated_board() {
    return std::make_unique<board>();
}

std::vector<unsigned char> pattern(std::size_t bytes, unsigned start = 1) {
    std::vector<unsigned char> values(bytes);
    unsigned value = start;
    for (unsigned char& each : values) {
        each = static_cast<unsigned char>(value);
        value = value * 5 + 3;
    }
    return values;
}

bool holds(const shared_memory& block, const std::vector<unsigned char>& expected) {
    std::vector<unsigned char> got(expected.size());
    block.copy_to(got);
    return got == expected;
}

bool videocore_sees(const shared_memory& block, const std::vector<unsigned char>& expected) {
    std::vector<unsigned char> got(expected.size());
    vcsm::videocore::read(block.videocore_handle(), 0, std::as_writable_bytes(std::span{got}));
    return got == expected;
}

unsigned locks_of(const shared_memory& block) {
    for (const vcsm::block_info& known : vcsm::blocks()) {
        if (known.handle == block.handle()) {
            return known.locks;
        }
    }
    return 0;
}

void start_and_stop(trial& now) {
    const bool started = now.act("start", [] { vcsm::start_service(); });
    now.expect(started == vcsm::service_running(), "a start that failed leaves the service running, or the reverse");
    now.act("stop", [] { vcsm::stop_service(); });
    now.expect(!vcsm::service_running(), "it runs after it was stopped");
}

void managers(trial& now) {
    std::optional<vcsm::service_manager> first;
    std::optional<vcsm::service_manager> second;
    const bool got_first = now.act("hold", [&] { first.emplace(); });
    now.expect(got_first == vcsm::service_running(), "a manager that could not be made holds the service");
    const bool got_second = now.act("hold again", [&] { second.emplace(); });
    now.act("let go", [&] { first.reset(); });
    now.expect(vcsm::service_running() == got_second, "the service does not end with its last manager");
    now.act("let go", [&] { second.reset(); });
    now.expect(!vcsm::service_running(), "the service does not end with its last manager");
}

void allocate(trial& now, vcsm::block_options options, std::size_t bytes) {
    shared_memory block;
    const bool made = now.act("allocate", [&] {
        block = shared_memory{bytes, "a block with a name of its own", options};
    });
    now.expect(made == static_cast<bool>(block), "a block that could not be made is there");
    if (made) {
        now.expect(block.size() == bytes && block.capacity() >= bytes, "its size is another");
        now.expect(block.bus_address() % options.alignment == 0, "it is not aligned");
        now.expect(holds(block, std::vector<unsigned char>(bytes)), "new memory is not zero");
    }
    now.act("free", [&] { block.close(); });
    now.expect(!block, "it is there after it was freed");
}

void send(trial& now, cache_mode cache) {
    const auto data = pattern(9000);
    shared_memory block;
    if (!now.act("allocate", [&] { block = shared_memory{data.size(), "lens shading", cache}; })) {
        now.expect(!block, "a block that could not be made is there");
        return;
    }
    const bool sent = now.act("copy", [&] { block.copy_from(data); });
    now.expect(locks_of(block) == 0, "a copy left it locked");
    if (sent) {
        now.expect(videocore_sees(block, data), "VideoCore does not see what was copied");
    }
    // Whatever failed, the next try does it.
    block.copy_from(data);
    now.expect(videocore_sees(block, data), "it is of no use after a failure");
    now.act("free", [&] { block = shared_memory{}; });
}

void read_back(trial& now, cache_mode cache) {
    const auto data = pattern(5000, 7);
    shared_memory block{data.size(), "statistics", cache};
    vcsm::videocore::write(block.videocore_handle(), 0, std::as_bytes(std::span{data}));
    std::vector<unsigned char> got(data.size());
    const bool read = now.act("read", [&] { block.copy_to(got); });
    now.expect(!read || got == data, "what was read is not what VideoCore wrote");
    now.expect(locks_of(block) == 0, "reading left it locked");
    now.expect(holds(block, data), "it is of no use after a failure");
}

void nested_locks(trial& now, cache_mode cache) {
    shared_memory block{4096, "nested", cache};
    const bool all = now.act("lock", [&] {
        auto outer = block.lock(vcsm::access::write);
        outer[0] = std::byte{1};
        {
            auto inner = block.lock(vcsm::access::write);
            inner[1] = std::byte{2};
            const auto reader = block.lock(vcsm::access::read);
            if (reader[1] != std::byte{2}) {
                throw std::logic_error{"a reader does not see what is written"};
            }
            inner.unlock();
        }
        outer.unlock();
    });
    now.expect(locks_of(block) == 0, "locks are left");
    if (all) {
        now.expect(videocore_sees(block, {1, 2}), "VideoCore does not see what was written");
    }
    const std::array<unsigned char, 2> again{3, 4};
    block.copy_from(again);
    now.expect(videocore_sees(block, {3, 4}), "it is of no use after a failure");
}

void lock_moved(trial& now) {
    shared_memory block{4096, "moved", cache_mode::host};
    now.act("lock, move and free", [&] {
        auto locked = block.lock<std::uint32_t>(vcsm::access::overwrite);
        shared_memory other{std::move(block)};
        other.close();
        std::fill(locked.begin(), locked.end(), 5U); // the mapping is there until the lock ends
        locked.unlock();
    });
}

void exception_in_a_lock(trial& now, cache_mode cache) {
    shared_memory block{4096, "exception", cache};
    now.act("lock", [&] {
        try {
            const auto locked = block.lock(vcsm::access::write);
            locked[0] = std::byte{9};
            throw 1;
        } catch (int) { // the program's own
        }
    });
    now.expect(locks_of(block) == 0, "an exception left it locked");
    block.copy_from(std::array<unsigned char, 1>{7});
    now.expect(videocore_sees(block, {7}), "it is of no use after a failure");
}

void resize(trial& now, cache_mode cache, std::size_t from, std::size_t to) {
    auto data = pattern(from, 11);
    shared_memory block{from, "resized", cache};
    block.copy_from(data);
    const std::uint32_t handle = block.handle();
    const bool done = now.act("resize", [&] { block.resize(to); });
    now.expect(block.handle() == handle, "resizing changed the handle");
    now.expect(block.size() == (done ? to : from), "its size is neither the old nor the new one");
    if (done) {
        data.resize(to);
    }
    now.expect(holds(block, data), "resizing lost data");
    now.expect(videocore_sees(block, data), "resizing lost data for VideoCore");
    now.expect(locks_of(block) == 0, "resizing left it locked");
    now.act("resize a locked one", [&] {
        const auto locked = block.lock(vcsm::access::read);
        try {
            block.resize(from);
            throw std::logic_error{"a locked block was resized"};
        } catch (const vcsm::error& refused) {
            if (refused.code().value() != EBUSY) {
                throw;
            }
        }
    });
    now.expect(holds(block, data), "refusing to resize lost data");
}

void share(trial& now) {
    shared_memory block{4096, "shared", cache_mode::host};
    shared_memory other;
    now.act("share", [&] { other = block.share(); });
    if (other) {
        other.copy_from(pattern(100));
        now.act("free one", [&] { block.close(); });
        now.expect(holds(other, pattern(100)), "freeing one handle freed the block of the other");
    } else {
        now.expect(holds(block, std::vector<unsigned char>(4096)), "it is of no use after a failure");
    }
    now.act("free", [&] { other.close(); });
}

void export_it(trial& now, cache_mode cache) {
    const auto data = pattern(8192, 17);
    shared_memory block{data.size(), "exported", cache};
    block.copy_from(data);
    int exported = -1;
    const bool done = now.act("export", [&] { exported = block.export_dmabuf(); });
    now.expect(done == (exported >= 0), "an export that failed gave a descriptor");
    now.expect(holds(block, data), "exporting lost data");
    if (done) {
        std::vector<unsigned char> got(data.size());
        now.expect(::pread(exported, got.data(), got.size(), 0) == static_cast<ssize_t>(got.size()) && got == data,
                   "the export shows something else");
        ::close(exported);
    }
    now.act("lend", [&] { (void)block.dmabuf(); });
    const auto more = pattern(8192, 23);
    block.copy_from(more);
    now.expect(videocore_sees(block, more), "it is of no use after a failure");
    now.act("free", [&] { block.close(); });
    // Its range is somebody else's now, who must find zeros.
    shared_memory next{data.size(), "next", cache};
    now.expect(holds(next, std::vector<unsigned char>(data.size())), "new memory is not zero");
}

/// What the receiver of an export still sees when the block is freed.
void export_outlives_the_block(trial& now) {
    const auto data = pattern(8192, 29);
    shared_memory block{data.size(), "exported"};
    block.copy_from(data);
    const int exported = block.export_dmabuf();
    now.act("free", [&] { block.close(); });
    std::vector<unsigned char> got(data.size());
    (void)!::pread(exported, got.data(), got.size(), 0);
    now.expect(got == data, "freeing the block changed what its export shows");
    std::vector<shared_memory> next;
    try {
        for (int i = 0; i < 3; ++i) {
            next.emplace_back(std::size_t{8192}, "next").copy_from(pattern(8192, 31));
        }
    } catch (const vcsm::error&) { // no memory for it, after such a failure, is allowed
    }
    (void)!::pread(exported, got.data(), got.size(), 0);
    now.expect(got == data, "a later block writes into the export of an earlier one");
    ::close(exported);
}

/// The descriptor under a number as a program with many of them has.
int of_three_digits(int descriptor) {
    const int large = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 100);
    ::close(descriptor);
    return large;
}

void import_own(trial& now) {
    shared_memory block{4096, "own"};
    const int exported = of_three_digits(block.export_dmabuf());
    shared_memory again;
    now.act("import", [&] { again = shared_memory::from_dmabuf(exported, "again"); });
    ::close(exported);
    if (again) {
        again.copy_from(pattern(64));
    }
    now.expect(again ? holds(block, pattern(64)) : true, "the import of an own block is another block");
    now.act("free", [&] { block.close(); });
    now.act("free", [&] { again.close(); });
}

void import_foreign(trial& now) {
    const vcsm::kernel::unique_fd foreign{of_three_digits(vcsm::videocore::make_memfd("foreign", 12288).release())};
    const auto data = pattern(12288, 37);
    (void)!::pwrite(foreign.get(), data.data(), data.size(), 0);
    shared_memory block;
    now.act("import", [&] { block = shared_memory::from_dmabuf(foreign.get(), "foreign"); });
    now.expect(::fcntl(foreign.get(), F_GETFD) != -1, "an import closed the descriptor that it was given");
    if (block) {
        now.expect(holds(block, data), "the import shows something else");
    }
    now.act("free", [&] { block.close(); });
    std::vector<unsigned char> got(data.size());
    (void)!::pread(foreign.get(), got.data(), got.size(), 0);
    now.expect(got == data, "freeing an import changed the memory that it stood for");
    if (!now.struck()) {
        try {
            (void)shared_memory::from_dmabuf(0, "standard input");
            now.complain("standard input was imported");
        } catch (const vcsm::error&) {
        }
    }
}

void videocores_side(trial& now) {
    shared_memory block{4096, "held", cache_mode::host};
    block.copy_from(pattern(4096));
    const std::uint32_t handle = block.videocore_handle();
    bool held = false;
    now.act("hold", [&] {
        vcsm::videocore::hold(handle);
        held = true;
    });
    now.act("free", [&] { block.close(); });
    now.act("list", [&] { (void)vcsm::videocore::list(); });
    if (held) {
        std::vector<unsigned char> got(4096);
        vcsm::videocore::read(handle, 0, std::as_writable_bytes(std::span{got}));
        now.expect(got == pattern(4096), "what VideoCore holds has changed");
        if (!now.act("release", [&] { vcsm::videocore::release(handle); })) {
            vcsm::videocore::release(handle);
        }
    }
}

void exit_with_live_blocks(trial& now) {
    std::vector<shared_memory> blocks;
    for (int i = 0; i < 5; ++i) {
        blocks.emplace_back(std::size_t{5000}, "live", i % 2 == 0 ? cache_mode::none : cache_mode::host);
    }
    (void)blocks[2].dmabuf();
    auto locked = blocks[0].lock(vcsm::access::write);
    now.act("stop", [] { vcsm::stop_service(); });
    now.expect(!vcsm::service_running(), "it runs after it was stopped");
    now.expect(std::none_of(blocks.begin(), blocks.end(), [](const auto& each) { return static_cast<bool>(each); }),
               "a block outlives the service");
    locked[4999] = std::byte{1}; // mapped until the lock ends
    now.act("unlock", [&] { locked.unlock(); });
    now.act("use", [&] {
        try {
            (void)blocks[1].size();
            throw std::logic_error{"a block of a stopped service can be used"};
        } catch (const vcsm::no_block&) {
        }
    });
}

void many_blocks(trial& now) {
    // More than the table of handles has room for at first, each time anew.
    std::vector<shared_memory> blocks(40);
    std::size_t made = 0;
    now.act("allocate", [&] {
        for (shared_memory& each : blocks) {
            each = shared_memory{1, {}};
            ++made;
        }
    });
    now.expect(vcsm::blocks().size() == made, "the list of blocks is another than what was made");
    now.act("free every second", [&] {
        for (std::size_t i = 0; i < blocks.size(); i += 2) {
            blocks[i].close();
        }
    });
    now.act("allocate in the holes", [&] {
        blocks[0] = shared_memory{std::size_t{4096} * 3, "larger", {cache_mode::none, 16384}};
    });
}

void no_room(trial& now) {
    shared_memory most{std::size_t{120} << 20, "most"};
    shared_memory more;
    now.act("allocate too much", [&] {
        try {
            more = shared_memory{std::size_t{30} << 20, "more"};
            throw std::logic_error{"more was allocated than there is"};
        } catch (const vcsm::out_of_memory&) {
        }
    });
    now.expect(!more, "a block that could not be made is there");
}

void bad_arguments(trial& now) {
    shared_memory block{100, "arguments"};
    const auto refused = [&](std::string_view what, auto&& call) {
        now.act(what, [&] {
            try {
                call();
            } catch (const std::invalid_argument&) {
                return;
            } catch (const std::length_error&) {
                return;
            }
            throw std::logic_error{"it was taken"};
        });
    };
    refused("size 0", [] { shared_memory{0, "nothing"}; });
    refused("alignment", [] { shared_memory{1, "odd", vcsm::block_options{cache_mode::none, 3}}; });
    refused("larger than anything", [] { shared_memory{SIZE_MAX, "all"}; });
    refused("too much", [&] { block.copy_from(std::vector<char>(101)); });
    refused("behind its end", [&] { block.copy_from(std::vector<char>(1), 101); });
    refused("no descriptor", [] { (void)shared_memory::from_dmabuf(-1); });
    block.close();
    refused("no device", [] { vcsm::use("no such device"); });
}

void asks(trial& now) {
    shared_memory block{100, "asked"};
    now.act("ask", [&] {
        (void)vcsm::devices();
        (void)vcsm::blocks();
        (void)block.videocore_handle();
        (void)block.bus_address();
        (void)block.to_vector<std::uint16_t>();
    });
    now.act("use", [] { vcsm::use("simulated"); });
    now.act("start", [] { vcsm::start_service(); });
}

void use_first(trial& now) {
    const bool used = now.act("use", [] { vcsm::use("simulated"); });
    now.expect(used == vcsm::service_running(), "use that failed leaves the service running, or the reverse");
    now.act("start", [] { vcsm::start_service(); });
}

/// The child inherits none of it, starts its own, and tells by its exit status what does not hold.
void fork_in_the_middle(trial& now) {
    shared_memory block{4096, "the parent's", cache_mode::host};
    (void)block.dmabuf();
    auto locked = block.lock(vcsm::access::write);
    now.act("fork", [&] {
        const pid_t child = ::fork();
        if (child == 0) {
            int status = static_cast<bool>(block) ? 1 : 0;
            try {
                shared_memory own{4096, "the child's", cache_mode::host};
                own.copy_from(std::array<char, 2>{'h', 'i'});
                status |= vcsm::blocks().size() == 1 ? 0 : 2;
            } catch (const vcsm::error&) { // the fault came here
            } catch (const std::bad_alloc&) {
            }
            try {
                locked.unlock();
                block.close();
            } catch (...) {
                status |= 4;
            }
            vcsm::stop_service();
            now.child_ends();
            ::_exit(status);
        }
        int status = 0;
        if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) {
            throw std::logic_error{"the child ended with status " + std::to_string(status)};
        }
    });
    locked[0] = std::byte{5};
    now.act("unlock", [&] { locked.unlock(); });
    now.expect(static_cast<bool>(block), "a child's end freed the parent's block");
    block.copy_from(pattern(4096));
    now.expect(holds(block, pattern(4096)), "it is of no use after a fork");
}

} // namespace

std::vector<scenario> core_scenarios() {
    const auto on = simulated_board;
    return {
        {"start_and_stop", on, start_and_stop},
        {"managers", on, managers},
        {"allocate_uncached", on,
         [](trial& now) {
             allocate(now, {cache_mode::none, 1}, 10000);
         }},
        {"allocate_cached", on,
         [](trial& now) {
             allocate(now, {cache_mode::host, 1}, 10000);
         }},
        {"allocate_aligned", on,
         [](trial& now) {
             const shared_memory in_the_way{4096, "in the way"};
             allocate(now, {cache_mode::none, 1U << 20U}, 5000);
         }},
        {"send_uncached", on, [](trial& now) { send(now, cache_mode::none); }},
        {"send_cached", on, [](trial& now) { send(now, cache_mode::host); }},
        {"read_back_uncached", on, [](trial& now) { read_back(now, cache_mode::none); }},
        {"read_back_cached", on, [](trial& now) { read_back(now, cache_mode::host); }},
        {"nested_locks_uncached", on, [](trial& now) { nested_locks(now, cache_mode::none); }},
        {"nested_locks_cached", on, [](trial& now) { nested_locks(now, cache_mode::host); }},
        {"lock_moved", on, lock_moved},
        {"exception_in_a_lock_uncached", on, [](trial& now) { exception_in_a_lock(now, cache_mode::none); }},
        {"exception_in_a_lock_cached", on, [](trial& now) { exception_in_a_lock(now, cache_mode::host); }},
        {"grow_uncached", on, [](trial& now) { resize(now, cache_mode::none, 5000, 20000); }},
        {"grow_cached", on, [](trial& now) { resize(now, cache_mode::host, 5000, 20000); }},
        {"shrink_cached", on, [](trial& now) { resize(now, cache_mode::host, 20000, 100); }},
        {"share", on, share},
        {"export_uncached", on, [](trial& now) { export_it(now, cache_mode::none); }},
        {"export_cached", on, [](trial& now) { export_it(now, cache_mode::host); }},
        {"export_outlives_the_block", on, export_outlives_the_block},
        {"import_own", on, import_own},
        {"import_foreign", on, import_foreign},
        {"videocores_side", on, videocores_side},
        {"exit_with_live_blocks", on, exit_with_live_blocks},
        {"many_blocks", on, many_blocks},
        {"no_room", on, no_room},
        {"bad_arguments", on, bad_arguments},
        {"asks", on, asks},
        {"use_first", on, use_first},
        {"fork_in_the_middle", on, fork_in_the_middle},
    };
}

} // namespace faults
