#include "device/v3d.hpp"

#include "device/fake_drivers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using vcsm::cache_mode;
using vcsm::device::direction;

class v3d : public testing::Test {
  protected:
    void open(const std::string& driver) {
        in_.add_directory("/dev/dri", {"by-path", "card0", "renderD128", "renderD129"});
        other_.emplace(in_, "vkms", "/dev/dri/renderD128");
        driver_.emplace(in_, driver, "/dev/dri/renderD129");
        device_ = vcsm::device::open_v3d();
        in_.forget();
    }
    void expect_nothing_left(int after = 0) {
        EXPECT_TRUE(driver_->buffers.empty()) << after;
        EXPECT_EQ(in_.open_descriptors(), 1U) << after;
        EXPECT_EQ(in_.mapped_bytes(), 0U) << after;
        EXPECT_TRUE(in_.crashes.empty()) << after;
    }

    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    std::optional<fakes::drm_driver> other_;
    std::optional<fakes::drm_driver> driver_;
    std::unique_ptr<vcsm::device::device> device_;
};

TEST_F(v3d, the_render_node_of_a_raspberry_pi_is_found_among_others) {
    open("v3d");
    device_.reset();
    EXPECT_EQ(in_.open_descriptors(), 0U);
    driver_.emplace(in_, "i915", "/dev/dri/renderD129");
    try {
        (void)vcsm::device::open_v3d();
        FAIL() << "opened";
    } catch (const vcsm::error& refused) {
        EXPECT_EQ(refused.code().value(), ENOENT);
    }
    in_.refuse("/dev/dri/renderD129", EACCES);
    try {
        (void)vcsm::device::open_v3d();
        FAIL() << "opened";
    } catch (const vcsm::error& refused) {
        EXPECT_EQ(refused.code().value(), EACCES);
        EXPECT_THAT(refused.what(), HasSubstr("usermod -aG render"));
    }
    EXPECT_EQ(in_.open_descriptors(), 0U);
}

TEST_F(v3d, a_buffer_of_v3d_has_an_address_and_no_descriptor_until_it_is_exported) {
    open("v3d");
    auto block = device_->allocate({5000, "qpu", cache_mode::host, 1});
    const std::size_t bytes = fakes::in_pages(5000);
    EXPECT_THAT(in_.log, ElementsAre("ioctl /dev/dri/renderD129 c0106442", "ioctl /dev/dri/renderD129 c0106443",
                                     "mmap /dev/dri/renderD129 " + std::to_string(bytes) + " shared at " +
                                         std::to_string(std::uint64_t{1} << 28U)));
    EXPECT_EQ(in_.requests.at(0).argument, fakes::word(bytes) + " 00000000 00000000 00000000");
    EXPECT_EQ(in_.requests.at(1).argument, "01000000 00000000 00000000 00000000");
    EXPECT_EQ(block->bus_address(), 0x10000U);
    EXPECT_EQ(block->granted_cache(), cache_mode::none);
    EXPECT_THROW((void)block->videocore_handle(), vcsm::not_supported);
    in_.forget();
    block->begin_access(direction::read_write);
    block->end_access(direction::read_write);
    EXPECT_TRUE(in_.log.empty());
    EXPECT_EQ(in_.open_descriptors(), 1U);

    const int exported = block->dmabuf();
    EXPECT_EQ(block->dmabuf(), exported);
    EXPECT_THAT(in_.arguments_of(0xc00c642d), ElementsAre("01000000 02000800 00000000"));
    EXPECT_EQ(driver_->buffers.at(1).memory->name, "qpu");
    block.reset();
    expect_nothing_left();
}

TEST_F(v3d, a_buffer_of_vc4_has_no_address_of_its_own) {
    open("vc4");
    EXPECT_FALSE(device_->gives().bus_address);
    auto block = device_->allocate({5000, "qpu", cache_mode::none, 65536});
    EXPECT_EQ(in_.log.at(0), "ioctl /dev/dri/renderD129 c0106443");
    EXPECT_EQ(in_.log.at(1), "ioctl /dev/dri/renderD129 c0106444");
    EXPECT_THROW((void)block->bus_address(), vcsm::not_supported);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->data()) % 65536, 0U);
    block.reset();
    expect_nothing_left();
}

TEST_F(v3d, a_descriptor_imported_twice_is_closed_with_the_last_of_the_two) {
    open("v3d");
    const auto cameras = fakes::make_dma_buf(in_, "videobuf2", 8192);
    const int given = in_.install(cameras);
    auto first = device_->import_dmabuf(given, "first");
    auto second = device_->import_dmabuf(given, "second");
    EXPECT_EQ(first->bus_address(), second->bus_address());
    EXPECT_EQ(driver_->buffers.size(), 1U) << "one buffer has one handle";
    first.reset();
    EXPECT_EQ(driver_->buffers.size(), 1U);
    second->begin_access(direction::write);
    EXPECT_THAT(cameras->syncs, ElementsAre(2));
    second.reset();
    in_.close(given);
    expect_nothing_left();
}

TEST_F(v3d, each_refusal_is_passed_on_and_leaves_nothing) {
    open("v3d");
    for (const char* const call : {"ioctl c0106442", "ioctl c0106443", "mmap", "madvise"}) {
        for (const int value : {ENOMEM, EINVAL, ENOSPC}) {
            in_.fail_next(call, {value});
            try {
                (void)device_->allocate({8192, "x", cache_mode::none, 1});
                FAIL() << "allocated";
            } catch (const vcsm::error& refused) {
                EXPECT_EQ(refused.code().value(), value);
            }
            expect_nothing_left();
        }
    }
    driver_->next_offset = 0x1000;
    EXPECT_THROW((void)device_->allocate({8192, "x", cache_mode::none, 65536}), vcsm::error);
    expect_nothing_left();
    auto block = device_->allocate({8192, "x", cache_mode::none, 1});
    in_.fail_next("ioctl c00c642d", {EMFILE});
    EXPECT_THROW((void)block->dmabuf(), vcsm::error);
    block.reset();
    expect_nothing_left();
    const int given = in_.install(fakes::make_dma_buf(in_, "system", 4096));
    for (const char* const call : {"ioctl c00c642e", "ioctl c0086445"}) {
        in_.fail_next(call, {ENODEV});
        EXPECT_THROW((void)device_->import_dmabuf(given, "x"), vcsm::error);
        EXPECT_TRUE(driver_->buffers.empty());
        EXPECT_EQ(in_.open_descriptors(), 2U);
        EXPECT_EQ(in_.mapped_bytes(), 0U);
    }
}

TEST_F(v3d, a_forks_child_closes_no_buffer_of_its_parents) {
    open("v3d");
    auto block = device_->allocate({4096, "x", cache_mode::none, 1});
    (void)block->dmabuf();
    in_.forget();
    block->abandon();
    block.reset();
    device_->abandon();
    EXPECT_THAT(in_.log, ElementsAre("close dma-buf", "close /dev/dri/renderD129"));
    EXPECT_EQ(driver_->buffers.size(), 1U);
}

} // namespace
