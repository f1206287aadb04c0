// Pools, rings and blocks that go to another process.
#include "faults/scenarios.hpp"

#include <vcsm/vcsm.hpp>

#include <array>
#include <optional>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace faults {

namespace {

using vcsm::shared_memory;

void pool_that_grows(trial& now, bool whole_blocks) {
    vcsm::pool_options options;
    options.whole_blocks = whole_blocks;
    options.keep = 0;
    std::optional<vcsm::pool> frames;
    if (!now.act("make a pool", [&] { frames.emplace(std::size_t{65536}, "frames", options); })) {
        return;
    }
    std::vector<shared_memory> blocks(6);
    std::size_t made = 0;
    now.act("allocate more than it began with", [&] {
        for (shared_memory& each : blocks) {
            each = frames->allocate(30000);
            ++made;
        }
    });
    now.expect(frames->statistics().blocks == made, "it counts blocks that could not be made");
    const std::vector<unsigned char> data(30000, 9);
    if (made == 0) {
        blocks[0] = frames->allocate(30000);
    }
    now.act("copy", [&] { blocks[0].copy_from(data); });
    blocks[0].copy_from(data);
    now.act("grow a block", [&] { blocks[0].resize(40000); });
    std::vector<unsigned char> got(30000);
    blocks[0].copy_to(got);
    now.expect(got == data, "resizing lost data");
    now.act("give back", [&] {
        for (shared_memory& each : blocks) {
            each.close();
        }
    });
    now.expect(frames->statistics().used == 0, "it has blocks that were given back");
    now.act("trim", [&] { (void)frames->trim(); });
    now.act("allocate again", [&] { blocks[1] = frames->allocate(100); });
    now.act("end", [&] {
        blocks.clear();
        frames.reset();
    });
}

void ring(trial& now) {
    std::optional<vcsm::ring> frames;
    if (!now.act("make a ring", [&] { frames.emplace(std::size_t{3}, std::size_t{5000}, "frames"); })) {
        return;
    }
    now.act("go round", [&] {
        for (int i = 0; i < 5; ++i) {
            frames->acquire()->copy_from(std::array<char, 1>{'a'});
            frames->submit();
            (void)frames->receive()->size();
            frames->release();
        }
    });
    now.act("end", [&] { frames.reset(); });
}

void to_another_process(trial& now) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return;
    }
    shared_memory block{5000, "sent"};
    const std::vector<unsigned char> data(5000, 7);
    block.copy_from(data);
    if (now.act("send", [&] { vcsm::send_block(ends[0], block); })) {
        shared_memory received;
        if (now.act("receive", [&] { received = vcsm::receive_block(ends[1]); })) {
            std::vector<unsigned char> got(5000);
            received.copy_to(got);
            now.expect(got == data, "what was received is something else");
        }
    }
    for (const int end : ends) {
        ::close(end);
    }
}

std::unique_ptr<board> simulated_board() {
    return std::make_unique<board>();
}

} // namespace

std::vector<scenario> pool_scenarios() {
    const auto on = simulated_board;
    return {
        {"pool_that_grows", on, [](trial& now) { pool_that_grows(now, false); }},
        {"pool_of_whole_blocks", on, [](trial& now) { pool_that_grows(now, true); }},
        {"ring", on, ring},
        {"to_another_process", on, to_another_process},
    };
}

} // namespace faults
