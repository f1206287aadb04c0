// The ioctls that vcsm-sim answers, with any argument that a program can pass: the handlers read and write the memory
// of "the program", which is this process.
#include "nodes/vcio.hpp"
#include "nodes/vcsm_legacy.hpp"
#include "scratch.hpp"
#include "simulation.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

namespace sim = vcsm::sim;
using vcsm::kernel::unique_fd;

// Numbers with an answer of their own, and some without.
constexpr std::array<std::uint32_t, 36> numbers{
    0x80404a5a, 0x80404a5b, 0x80084a5c, 0x0000005a, 0x40086200, 0x40046201, 0x40086201, 0xc0184800, 0x40187542,
    0x40087543, 0xc0046400, 0xc0086400, 0x8030495a, 0x8008495b, 0x8008495c, 0x8008495d, 0x8008495e, 0x800c495f,
    0x80044961, 0x800c4962, 0x800c4963, 0x80084964, 0x80104965, 0x80104966, 0x80104967, 0x80104968, 0x80104969,
    0x8010496a, 0x0000496b, 0x8004496d, 0x8080496f, 0x80044970, 0x802c4971, 0x00005401, 0xffffffff, 0x00000000};

/// A program that is always there and takes every descriptor.
class own_listener final : public sim::listener {
  public:
    own_listener() : listener{vcsm::kernel::open("/dev/null", O_RDWR)} {}
    [[nodiscard]] bool waits(std::uint64_t) const noexcept override { return false; }
    [[nodiscard]] int give(std::uint64_t, int descriptor, bool, bool) noexcept override {
        const int number = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        if (number >= 0) {
            given.push_back(number);
        }
        return number >= 0 ? number : -errno;
    }
    std::vector<int> given;
};

/// One board, kept from input to input.
struct stage {
    explicit stage(const char* model) {
        chosen.model = &sim::find_board(model);
        chosen.memory_bytes = std::size_t{4} << 20;
        auto own = std::make_unique<own_listener>();
        listener = own.get();
        all = std::make_unique<sim::simulation>(chosen, std::move(own), scratch.path() + "/root");
        for (const auto& [path, each] : all->tree.all()) {
            if (each.what == sim::entry::kind::node && each.node != sim::node::vcsm && each.node != sim::node::mem) {
                nodes.push_back(all->nodes.open(each, O_RDWR));
            }
        }
    }

    void clear() {
        for (const int number : listener->given) {
            ::close(number);
        }
        listener->given.clear();
        all->notice_what_is_gone(true);
        for (const auto& each : all->memory->list()) {
            (void)(all->mailbox && all->mailbox->release(each.videocore_handle));
        }
        all->report = {};
    }

    sim::scratch_directory scratch;
    sim::options chosen;
    std::unique_ptr<sim::simulation> all;
    own_listener* listener = nullptr;
    std::vector<unique_fd> nodes;
};

/// Two pages to pass arguments in; behind them lies nothing, before them what can only be read.
struct memory {
    memory() {
        const std::size_t page = vcsm::kernel::page_size();
        auto* const all = static_cast<std::byte*>(
            ::mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        ::mprotect(all, page, PROT_READ);
        ::munmap(all + 3 * page, page);
        read_only = all;
        writable = all + page;
        end = all + 3 * page;
    }
    std::byte* read_only;
    std::byte* writable;
    std::byte* end;
};

} // namespace

// The devices' sleeping threads live as long as this program, and LeakSanitizer's last look fails on them.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): LeakSanitizer's name for it
extern "C" int __lsan_is_turned_off() {
    return 1;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static std::array<stage, 2> boards{stage{"pi4"}, stage{"legacy"}};
    static const memory arguments;
    static const bool quiet = [] {
        std::cerr.setstate(std::ios::failbit); // each crash of a board's kernel would be a line
        return true;
    }();
    (void)quiet;
    if (size == 0) {
        return 0;
    }
    stage& board = boards[data[0] & 1];
    std::size_t at = 1;
    constexpr std::size_t head = 5;
    while (at + head <= size) {
        const std::uint8_t target = data[at];
        const std::uint8_t number = data[at + 1];
        const std::uint8_t place = data[at + 2];
        const std::size_t length = std::min<std::size_t>(data[at + 3], size - at - head);
        const std::uint8_t offset = data[at + 4];
        at += head;

        std::byte* address = arguments.writable + offset;
        if (place % 8 == 1) {
            address = arguments.end - offset;
        } else if (place % 8 == 2) {
            address = arguments.read_only + offset;
        }
        const auto room = static_cast<std::size_t>(arguments.end - address);
        if (place % 8 != 2) {
            std::memcpy(address, data + at, std::min(length, room));
        }
        at += length;

        sim::request asked;
        asked.who = sim::target{::gettid()};
        asked.narrow = (place & 0x80) != 0;
        const std::size_t known = board.nodes.size() + board.listener->given.size();
        const std::size_t which = target % (known + 1);
        const int descriptor = which < board.nodes.size() ? board.nodes[which].get()
                               : which < known            ? board.listener->given[which - board.nodes.size()]
                                                          : -1;
        asked.arguments = {static_cast<std::uint64_t>(descriptor),
                           numbers[number % numbers.size()],
                           place % 8 == 3 ? std::uint64_t{8} : reinterpret_cast<std::uint64_t>(address),
                           0,
                           0,
                           0};
        try {
            if (target == 0xff && board.all->legacy) {
                asked.narrow = true;
                (void)board.all->legacy->open(asked, O_RDWR | O_CLOEXEC);
            } else {
                (void)sim::control_device(*board.all, asked);
            }
        } catch (const std::system_error&) { // the supervisor makes it the call's errno
        } catch (const std::bad_alloc&) {
        }
    }
    board.clear();
    return 0;
}
