// Taking over devices that the program opened itself.
#include "device/choose.hpp"
#include "device/fake_drivers.hpp"
#include "errno_of.hpp"

#include <vcsm/error.hpp>

#include <cerrno>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using vcsm::cache_mode;

class adopting : public testing::Test {
  protected:
    int open(const std::string& path, int flags = O_RDWR | O_CLOEXEC) {
        const int opened = in_.open(path.c_str(), flags, 0);
        EXPECT_GE(opened, 0) << path;
        in_.forget();
        return opened;
    }
    /// errno of the refusal, or 0.
    int refusal_of(int descriptor) {
        return vcsm_tests::errno_of([&] { (void)vcsm::device::adopt(descriptor); }, &said_);
    }

    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    fakes::vcsm_cma_driver cma_{in_};
    fakes::heap_driver system_{in_, "system", false};
    fakes::heap_driver contiguous_{in_, "linux,cma", true};
    fakes::heap_driver of_nobody_knows_whom_{in_, "carveout", true};
    std::string said_;
};

TEST_F(adopting, a_descriptor_tells_which_device_it_is_of) {
    in_.add_directory("/dev/dma_heap", {"carveout", "linux,cma", "system"});
    for (const auto& [path, name] : {std::pair{"/dev/vcsm-cma", "vcsm-cma"},
                                     {"/dev/dma_heap/linux,cma", "dma-heap:linux,cma"},
                                     {"/dev/dma_heap/system", "dma-heap:system"},
                                     {"/dev/dma_heap/carveout", "dma-heap:carveout"}}) {
        const auto adopted = vcsm::device::adopt(open(path));
        EXPECT_EQ(adopted->name(), name);
        const auto block = adopted->allocate({5000, "x", cache_mode::none, 1});
        EXPECT_EQ(block->capacity(), fakes::in_pages(5000)) << path;
    }
    EXPECT_THAT(in_.crashes, IsEmpty());
}

TEST_F(adopting, the_descriptor_stays_the_callers_and_may_be_closed_at_once) {
    const int callers = open("/dev/vcsm-cma");
    ASSERT_EQ(::fcntl(callers, F_SETFD, 0), 0); // children may inherit this one
    {
        const auto adopted = vcsm::device::adopt(callers);
        EXPECT_EQ(::fcntl(callers, F_GETFD) & FD_CLOEXEC, 0) << "the caller's is as it was";
        in_.close(callers);
        EXPECT_NO_THROW((void)adopted->allocate({4096, "x", cache_mode::none, 1}));
    }
    EXPECT_EQ(in_.open_descriptors(), 0U);
}

TEST_F(adopting, children_do_not_inherit_what_is_the_librarys) {
    const int callers = open("/dev/dma_heap/system", O_RDWR);
    const auto adopted = vcsm::device::adopt(callers);
    ASSERT_EQ(in_.open_descriptors(), 2U);
    for (int descriptor = 0; descriptor != 1024; ++descriptor) {
        if (descriptor != callers && in_.at(descriptor)) {
            EXPECT_NE(::fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0) << descriptor;
        }
    }
}

TEST_F(adopting, what_is_not_open_is_EBADF) {
    for (const int descriptor : {-1, 1000000}) {
        EXPECT_EQ(refusal_of(descriptor), EBADF) << descriptor;
        EXPECT_THAT(said_, HasSubstr(std::to_string(descriptor)));
    }
}

TEST_F(adopting, a_full_table_of_descriptors_is_said_so) {
    const int callers = open("/dev/vcsm-cma");
    in_.descriptor_limit = in_.open_descriptors();
    EXPECT_EQ(refusal_of(callers), EMFILE);
}

TEST_F(adopting, what_is_of_another_device_or_none_is_ENODEV_and_asked_for_nothing) {
    const fakes::udmabuf_driver udmabuf{in_};
    const fakes::mailbox_driver mailbox{in_};
    const fakes::drm_driver v3d{in_, "v3d"};
    in_.add_text("/dev/text", "a file");
    for (const char* const path : {"/dev/udmabuf", "/dev/vcio", "/dev/dri/renderD128", "/dev/null", "/dev/text"}) {
        const int callers = open(path);
        EXPECT_EQ(refusal_of(callers), ENODEV) << path;
        EXPECT_THAT(in_.requests, IsEmpty()) << path;
        EXPECT_EQ(in_.close(callers), 0) << "it is the caller's";
    }
    EXPECT_EQ(refusal_of(in_.install(fakes::make_dma_buf(in_, "system", 4096))), ENODEV);
    EXPECT_THAT(in_.requests, IsEmpty());
}

TEST_F(adopting, a_device_of_the_right_number_with_another_devices_answers_is_ENODEV) {
    fakes::kernel other;
    const vcsm::kernel::scoped_calls others_in_force{other};
    for (const char* const path : {"/dev/vcsm-cma", "/dev/dma_heap/system"}) {
        other.add_node(path, [] {
            auto opened = std::make_shared<fakes::object>();
            opened->backing = fakes::make_memfd(0);
            return opened;
        });
        EXPECT_EQ(refusal_of(other.open(path, O_RDWR, 0)), ENODEV) << path;
    }
}

TEST_F(adopting, a_descriptor_that_answers_nothing_is_EBADF) {
    const int callers = open("/dev/vcsm-cma");
    in_.fail_next("ioctl 80084a5c", {EBADF}); // as one that was opened with O_PATH
    EXPECT_EQ(refusal_of(callers), EBADF);
    const int heap = open("/dev/dma_heap/system");
    in_.fail_next("ioctl c0184800", {EBADF});
    EXPECT_EQ(refusal_of(heap), EBADF);
}

TEST_F(adopting, the_legacy_device_is_for_programs_of_32_bits) {
    const fakes::legacy_driver legacy{in_};
    const int callers = open("/dev/vcsm");
    if (sizeof(void*) == 4) {
        EXPECT_EQ(vcsm::device::adopt(callers)->name(), "vcsm");
    } else {
        EXPECT_EQ(refusal_of(callers), ENODEV);
        EXPECT_THAT(said_, HasSubstr("32 bits"));
        EXPECT_THAT(in_.requests, IsEmpty());
    }
}

TEST_F(adopting, whichever_call_fails_nothing_is_left_open) {
    for (const char* const path : {"/dev/vcsm-cma", "/dev/dma_heap/linux,cma", "/dev/null"}) {
        const int callers = open(path);
        const std::size_t before = in_.open_descriptors();
        for (int at = 1; at != 40; ++at) {
            in_.calls_made = 0;
            in_.fail_at = at;
            in_.fail_with = EIO;
            (void)refusal_of(callers);
            in_.fail_at = 0;
            EXPECT_EQ(in_.open_descriptors(), before) << path << ", call " << at;
        }
    }
    EXPECT_THAT(in_.crashes, IsEmpty());
}

} // namespace
