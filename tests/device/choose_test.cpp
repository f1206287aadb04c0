#include "device/choose.hpp"

#include "device/fake_drivers.hpp"
#include "device/simulated.hpp"

#include <cstdlib>
#include <optional>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// A variable of the environment for one test.
class scoped_variable {
  public:
    scoped_variable(const char* name, const char* value) : name_{name} {
        if (const char* const before = std::getenv(name)) {
            before_ = before;
        }
        value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
    }
    scoped_variable(const scoped_variable&) = delete;
    scoped_variable& operator=(const scoped_variable&) = delete;
    ~scoped_variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }

  private:
    const char* name_;
    std::optional<std::string> before_;
};

class choosing : public testing::Test {
  protected:
    void raspberry_pi() {
        in_.add_text("/proc/device-tree/compatible", std::string{"raspberrypi,4-model-b\0brcm,bcm2711\0", 35});
        in_.add_text("/proc/device-tree/model", std::string{"Raspberry Pi 4 Model B Rev 1.4\0", 31});
    }
    static std::string chosen() { return std::string{vcsm::device::choose()->name()}; }
    static std::string refusal() {
        try {
            return "chose " + chosen();
        } catch (const vcsm::error& refused) {
            return refused.what();
        }
    }
    static std::string chosen_of(const std::vector<vcsm::device_info>& all) {
        std::string names;
        for (const vcsm::device_info& each : all) {
            names += each.chosen ? each.name + " " : "";
        }
        return names;
    }

    scoped_variable nothing_wanted_{"VCSM_DEVICE", nullptr};
    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
};

TEST_F(choosing, a_raspberry_pi_takes_vcsm_cma_first) {
    raspberry_pi();
    const fakes::vcsm_cma_driver cma{in_};
    const fakes::heap_driver heap{in_, "linux,cma", true};
    EXPECT_EQ(chosen(), "vcsm-cma");
    EXPECT_EQ(chosen_of(vcsm::device::survey("")), "vcsm-cma ");
}

TEST_F(choosing, a_raspberry_pi_5_takes_the_heap_that_the_camera_takes) {
    raspberry_pi();
    in_.add_directory("/dev/dma_heap", {"linux,cma", "system", "vidbuf_cached"});
    const fakes::heap_driver system{in_, "system", false};
    const fakes::heap_driver contiguous{in_, "linux,cma", true};
    EXPECT_EQ(chosen(), "dma-heap:linux,cma");
    const fakes::heap_driver for_video{in_, "vidbuf_cached", false};
    EXPECT_EQ(chosen(), "dma-heap:vidbuf_cached");
    EXPECT_EQ(chosen_of(vcsm::device::survey("")), "dma-heap:vidbuf_cached ");
}

TEST_F(choosing, each_name_of_the_contiguous_heap_will_do) {
    raspberry_pi();
    for (const char* const name : {"vidbuf_cached", "linux,cma", "reserved", "default_cma_region", "system"}) {
        fakes::kernel other;
        const vcsm::kernel::scoped_calls others_in_force{other};
        other.add_text("/proc/device-tree/compatible", std::string{"raspberrypi,5-model-b\0", 22});
        const fakes::heap_driver heap{other, name, true};
        EXPECT_EQ(chosen(), "dma-heap:" + std::string{name});
    }
}

TEST_F(choosing, a_raspberry_pi_that_may_not_open_its_devices_is_an_error_that_says_how_to_mend_it) {
    raspberry_pi();
    in_.refuse("/dev/dma_heap/linux,cma", EACCES);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("Raspberry Pi 4 Model B Rev 1.4"), HasSubstr("(EACCES)"),
                                 HasSubstr("usermod -aG video"), HasSubstr("vcsm doctor")));
    EXPECT_THAT(chosen_of(vcsm::device::survey("")), "");
}

TEST_F(choosing, a_raspberry_pi_without_any_device_is_no_simulation) {
    raspberry_pi();
    EXPECT_THAT(refusal(), AllOf(HasSubstr("(ENOENT)"), HasSubstr("kernel"), Not(HasSubstr("chose"))));
}

TEST_F(choosing, elsewhere_the_simulated_videocore_is_taken_even_where_there_are_heaps) {
    const fakes::heap_driver heap{in_, "system", false};
    in_.add_text("/proc/device-tree/compatible", std::string{"pine64,rockpro64\0rockchip,rk3399\0", 33});
    EXPECT_EQ(chosen(), "simulated");
    EXPECT_EQ(chosen_of(vcsm::device::survey("")), "simulated ");
}

TEST_F(choosing, a_device_that_is_named_is_taken_or_none) {
    raspberry_pi();
    const fakes::vcsm_cma_driver cma{in_};
    const fakes::heap_driver heap{in_, "linux,cma", true};
    const scoped_variable wanted{"VCSM_DEVICE", "dma-heap:linux,cma"};
    EXPECT_EQ(chosen(), "dma-heap:linux,cma");
    const scoped_variable missing{"VCSM_DEVICE", "dma-heap:reserved"};
    EXPECT_THAT(refusal(), AllOf(HasSubstr("/dev/dma_heap/reserved"), HasSubstr("(ENOENT)")));
    const scoped_variable unknown{"VCSM_DEVICE", "dma_heap"};
    EXPECT_THAT(refusal(), AllOf(HasSubstr("VCSM_DEVICE"), HasSubstr("known are vcsm-cma, vcsm, dma-heap[:HEAP]")));
}

TEST_F(choosing, a_heaps_name_is_no_path) {
    for (const char* const name : {"dma-heap:", "dma-heap:../null", "dma-heap:..", "dma-heap:a/b"}) {
        EXPECT_THROW((void)vcsm::device::open(name), std::invalid_argument) << name;
    }
    EXPECT_TRUE(in_.log.empty());
}

TEST_F(choosing, the_survey_lists_each_device_with_its_reason_and_leaves_nothing_open) {
    raspberry_pi();
    const fakes::vcsm_cma_driver cma{in_};
    in_.add_directory("/dev/dma_heap", {"linux,cma", "system"});
    const fakes::heap_driver heap{in_, "linux,cma", true};
    in_.refuse("/dev/dma_heap/system", EACCES);
    const std::vector<vcsm::device_info> all = vcsm::device::survey("");
    EXPECT_EQ(in_.open_descriptors(), 0U);
    std::string lines;
    for (const vcsm::device_info& each : all) {
        lines += each.name + (each.usable ? " usable" : " not") + (each.why.empty() ? "" : " because") + "\n";
    }
    EXPECT_EQ(lines, "vcsm-cma usable\nvcsm not because\ndma-heap:linux,cma usable\ndma-heap:system not because\n"
                     "udmabuf not because\nmailbox not because\nv3d not because\nsimulated usable because\n");
    EXPECT_EQ(all[0].max_bytes, 0x80000000U - static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
    EXPECT_TRUE(all[0].videocore_handle && all[0].bus_address && all[0].dmabuf && all[0].host_cache);
}

} // namespace
