// The same on kernel interfaces, each behind drivers that answer as documented.
#include "faults/scenarios.hpp"

#include "device/fake_drivers.hpp"
#include "device/vcsm_legacy.hpp"

#include <vcsm/vcsm.hpp>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <vector>

namespace faults {

namespace {

using vcsm::cache_mode;
using vcsm::shared_memory;

/// A Raspberry Pi with every driver there is.
class raspberry_pi : public board {
  public:
    raspberry_pi() {
        in_.add_text("/proc/device-tree/compatible", std::string{"raspberrypi,4-model-b\0brcm,bcm2711\0", 35});
        in_.add_text("/proc/device-tree/model", std::string{"Raspberry Pi 4 Model B Rev 1.4\0", 31});
        in_.add_directory("/dev/dri", {"renderD128"});
        in_.add_directory("/dev/dma_heap", {"linux,cma"});
    }
    vcsm::kernel::calls& kernel() override { return in_; }
    [[nodiscard]] bool simulated() const override { return false; }
    std::string complaint(const fault& wanted) override {
        std::string all;
        for (const std::string& each : in_.crashes) {
            all += "a real kernel would have crashed: " + each + "; ";
        }
        if (in_.open_descriptors() != 0) {
            all += std::to_string(in_.open_descriptors()) + " descriptors of drivers are open; ";
        }
        if (in_.mapped_bytes() != 0) {
            all += std::to_string(in_.mapped_bytes()) + " bytes of drivers are mapped; ";
        }
        if (cma_.blocks.count() + heap_.blocks.count() + udmabuf_.blocks.count() != 0) {
            all += "a driver has blocks; ";
        }
        // What a driver refused to free it keeps: nothing more can be done, and closing its node ends it (but for the
        // mailbox's, which the next start of the board ends).
        const bool may_have_refused = wanted.what == fault::kind::system_call && wanted.at == call::ioctl;
        if (!may_have_refused && !(legacy_.blocks.empty() && mailbox_.blocks.empty() && v3d_.buffers.empty())) {
            all += "VideoCore or the 3D engine has memory; ";
        }
        return all;
    }

  private:
    fakes::kernel in_;
    fakes::vcsm_cma_driver cma_{in_};
    fakes::heap_driver heap_{in_, "linux,cma", true};
    fakes::udmabuf_driver udmabuf_{in_};
    fakes::legacy_driver legacy_{in_};
    fakes::mailbox_driver mailbox_{in_};
    fakes::drm_driver v3d_{in_, "v3d"};
};

std::vector<unsigned char> pattern(std::size_t bytes, unsigned start) {
    std::vector<unsigned char> values(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        values[i] = static_cast<unsigned char>((i * 7 + start) % 251);
    }
    return values;
}

bool holds(const shared_memory& block, const std::vector<unsigned char>& expected) {
    std::vector<unsigned char> got(expected.size());
    block.copy_to(got);
    return got == expected;
}

std::function<void(trial&)> use_blocks(const std::string& device, cache_mode cache, bool exports) {
    return [=](trial& now) {
        if (!now.act("use", [&] { vcsm::use(device); })) {
            return;
        }
        shared_memory block;
        if (!now.act("allocate", [&] { block = shared_memory{5000, "frame", cache}; })) {
            now.expect(!block, "a block that could not be made is there");
            return;
        }
        now.expect(holds(block, std::vector<unsigned char>(5000)), "new memory is not zero");
        const auto data = pattern(5000, 3);
        now.act("copy", [&] { block.copy_from(data); });
        std::vector<unsigned char> got(5000);
        now.act("read", [&] { block.copy_to(got); });
        now.expect(vcsm::blocks().at(0).locks == 0, "a copy left it locked");
        block.copy_from(data);
        now.expect(holds(block, data), "it is of no use after a failure");
        if (exports) {
            vcsm::kernel::unique_fd exported;
            now.act("export", [&] { exported.reset(block.export_dmabuf()); });
            shared_memory again;
            now.act("import", [&] { again = exported ? shared_memory::from_dmabuf(exported.get()) : shared_memory{}; });
            now.expect(!again || holds(again, data), "the import of an own block is another block");
        }
        const bool resized = now.act("resize", [&] { block.resize(9000); });
        now.expect(block.size() == (resized ? 9000U : 5000U), "its size is neither the old nor the new one");
        now.expect(holds(block, data), "resizing lost data");
        now.act("free", [&] { block.close(); });
        now.act("stop", [] { vcsm::stop_service(); });
    };
}

void choose_and_survey(trial& now) {
    ::unsetenv("VCSM_DEVICE");
    const bool started = now.act("start", [] { vcsm::start_service(); });
    now.expect(started == vcsm::service_running(), "a start that failed leaves the service running, or the reverse");
    // That there is no device tree is how a desk is told from a board.
    const bool said_no_board = now.planned().what == fault::kind::system_call && now.planned().number <= 2 &&
                               now.planned().how.errno_value == ENOENT;
    now.expect(!started || said_no_board || !vcsm::devices().back().chosen, "a Raspberry Pi came to be simulated");
    now.act("list devices", [] { (void)vcsm::devices(); });
}

/// The driver's addresses have 32 bits, so that a 64-bit program finds it only where a test says otherwise.
void legacy_driver(trial& now) {
    std::shared_ptr<vcsm::device::device> device;
    if (!now.act("open", [&] { device = vcsm::device::open_vcsm_legacy(32); })) {
        return;
    }
    std::unique_ptr<vcsm::device::memory> block;
    const vcsm::device::request wanted{5000, "frame", cache_mode::host, 1};
    if (now.act("allocate", [&] { block = device->allocate(wanted); })) {
        now.act("lock", [&] { block->begin_access(vcsm::device::direction::read_write); });
        now.act("unlock", [&] { block->end_access(vcsm::device::direction::read_write); });
        now.act("clean or invalidate", [&] { block->maintain({0, 64, 2, 512}, true, true); });
        now.act("free", [&] { block.reset(); });
    }
    now.act("close", [&] { device.reset(); });
}

} // namespace

std::unique_ptr<board> a_raspberry_pi() {
    return std::make_unique<raspberry_pi>();
}

std::vector<scenario> device_scenarios() {
    const auto on = a_raspberry_pi;
    return {
        {"vcsm_cma_uncached", on, use_blocks("vcsm-cma", cache_mode::none, true)},
        {"vcsm_cma_cached", on, use_blocks("vcsm-cma", cache_mode::host, true)},
        {"dma_heap", on, use_blocks("dma-heap:linux,cma", cache_mode::host, true)},
        {"udmabuf", on, use_blocks("udmabuf", cache_mode::host, true)},
        {"mailbox", on, use_blocks("mailbox", cache_mode::none, false)},
        {"v3d", on, use_blocks("v3d", cache_mode::none, false)},
        {"vcsm_legacy", on, legacy_driver},
        {"choose_and_survey", on, choose_and_survey},
    };
}

} // namespace faults
