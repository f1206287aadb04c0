#include <vcsm/error.hpp>
#include <vcsm/processes.hpp>

#include "device/fake_drivers.hpp"
#include "errno_of.hpp"
#include "prefixed_root.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class listing : public testing::Test {
  protected:
    void descriptor(const std::string& process, int number, const std::string& target, const std::string& more = {}) {
        const std::string text = std::to_string(number);
        root_.link("/proc/" + process + "/fd/" + text, target);
        root_.file("/proc/" + process + "/fdinfo/" + text, "pos:\t0\nflags:\t02000002\n" + more);
    }
    static std::string dma_buf(int inode, int bytes, const std::string& exporter, const std::string& name = {}) {
        return "ino:\t" + std::to_string(inode) + "\nsize:\t" + std::to_string(bytes) + "\ncount:\t1\nexp_name:\t" +
               exporter + "\n" + (name.empty() ? "" : "name:\t" + name + "\n");
    }

    vcsm_test::prefixed_root root_;
    vcsm::kernel::scoped_calls in_force_{root_};
};

TEST_F(listing, each_process_has_its_blocks_each_once_with_all_its_descriptors_and_mappings) {
    root_.file("/proc/meminfo", "");
    root_.file("/proc/20/comm", "camera\n");
    descriptor("20", 0, "/dev/null");
    descriptor("20", 3, "/dmabuf:frame", dma_buf(100, 8192, "system", "frame"));
    descriptor("20", 10, "/dmabuf:frame", dma_buf(100, 8192, "system", "frame"));
    descriptor("20", 4, "/dmabuf:", dma_buf(101, 4096, "udmabuf"));
    descriptor("20", 5, "socket:[77]", "exp_name:\tliar\n");
    root_.file("/proc/20/maps", "7f0000000000-7f0000002000 rw-s 00000000 00:0c 100 /dmabuf:frame\n"
                                "7f0000002000-7f0000003000 rw-s 00000000 00:0c 102 /dmabuf:mapped only (deleted)\n"
                                "7f0000003000-7f0000004000 r--p 00000000 fe:00 103 /usr/lib/x\n");
    root_.file("/proc/9/comm", "viewer\n");
    descriptor("9", 7, "/dmabuf:frame", dma_buf(100, 8192, "system", "frame"));

    const vcsm::shared_blocks found = vcsm::list_shared_blocks();
    ASSERT_EQ(found.held.size(), 4U);
    EXPECT_EQ(found.held[0].process, 9);
    EXPECT_EQ(found.held[0].command, "viewer");
    EXPECT_EQ(found.held[1].process, 20);
    EXPECT_EQ(found.held[1].name, "frame");
    EXPECT_EQ(found.held[1].bytes, 8192U);
    EXPECT_EQ(found.held[1].exporter, "system");
    EXPECT_THAT(found.held[1].descriptors, ElementsAre(3, 10));
    EXPECT_EQ(found.held[1].mapped_bytes, 8192U);
    EXPECT_EQ(found.held[1].inode, found.held[0].inode);
    EXPECT_EQ(found.held[2].name, "");
    EXPECT_EQ(found.held[3].name, "mapped only");
    EXPECT_EQ(found.held[3].bytes, 4096U);
    EXPECT_TRUE(found.held[3].descriptors.empty());
    EXPECT_FALSE(found.complete);
}

TEST_F(listing, the_kernels_own_lists_add_what_no_process_shows_and_videocores_handles) {
    root_.file("/proc/20/comm", "camera\n");
    descriptor("20", 3, "/dmabuf:table", dma_buf(100, 8192, "vc_sm_cma", "table"));
    descriptor("20", 4, "/dmabuf:twin", dma_buf(101, 4096, "vc_sm_cma", "twin"));
    descriptor("20", 5, "/dmabuf:twin", dma_buf(102, 4096, "vc_sm_cma", "twin"));
    root_.file("/sys/kernel/debug/dma_buf/bufinfo", "00008192\t2\t7\t1\tvc_sm_cma\t00000100\ttable\n"
                                                    "00004096\t2\t7\t1\tvc_sm_cma\t00000101\ttwin\n"
                                                    "00004096\t2\t7\t1\tvc_sm_cma\t00000102\ttwin\n"
                                                    "00065536\t2\t7\t1\tlinux,cma\t00000103\t<none>\n");
    std::string state = "\nResources\n\n";
    for (const char* const each : {"table 8192 3", "twin 4096 4", "twin 4096 5", "gone 4096 6"}) {
        char name[16] = {};
        unsigned bytes = 0;
        unsigned handle = 0;
        ASSERT_EQ(std::sscanf(each, "%15s %u %u", name, &bytes, &handle), 3);
        state += "Resource                00000000ac1b21b0\n           NAME         " + std::string{name} +
                 "\n           SIZE         " + std::to_string(bytes) + "\n           DMA_ADDR     0x00000000c000" +
                 std::to_string(handle) + "000\n           VC_HANDLE     0000000" + std::to_string(handle) +
                 "\n           VC_MAPPING    " + (handle == 6 ? "2" : "1") + "\n\n";
    }
    root_.file("/sys/kernel/debug/vcsm-cma/state", state);

    const vcsm::shared_blocks found = vcsm::list_shared_blocks();
    EXPECT_TRUE(found.complete);
    ASSERT_EQ(found.held.size(), 4U);
    EXPECT_EQ(found.held[0].videocore_handle, 3U);
    EXPECT_EQ(found.held[0].bus_address, 0xc0003000U);
    EXPECT_FALSE(found.held[1].videocore_handle) << "which of the twins it is, nobody says";
    EXPECT_EQ(found.held[3].process, 0);
    EXPECT_EQ(found.held[3].bytes, 65536U);
    ASSERT_EQ(found.videocores.size(), 4U);
    EXPECT_TRUE(found.videocores[3].freed);
    EXPECT_EQ(found.videocores[3].name, "gone");
}

TEST_F(listing, processes_of_other_users_are_counted_and_ended_ones_are_not) {
    root_.file("/proc/5/comm", "secret\n");
    root_.refuse("/proc/5/fd", EACCES);
    root_.file("/proc/6/comm", "ended\n");
    const vcsm::shared_blocks found = vcsm::list_shared_blocks();
    EXPECT_TRUE(found.held.empty());
    EXPECT_EQ(found.unseen_processes, 1U);
}

TEST_F(listing, without_proc_it_says_so) {
    root_.refuse("/proc", ENOENT);
    EXPECT_THROW((void)vcsm::list_shared_blocks(), vcsm::error);
}

class looking_into : public testing::Test {
  protected:
    looking_into() : block_{fakes::make_dma_buf(in_, "system", fakes::in_pages(8192))} {
        in_.its_descriptors[7] = block_;
        (void)!::pwrite(block_->backing, "held by another", 15, 4096);
        target_ = fakes::make_memfd(0);
    }
    ~looking_into() override { ::close(target_); }
    int errno_of(pid_t process, int descriptor) {
        return vcsm_tests::errno_of([&] { copied_ = vcsm::copy_block_of(process, descriptor, target_); }, &said_);
    }

    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    std::shared_ptr<fakes::dma_buf> block_;
    int target_ = -1;
    std::uint64_t copied_ = 0;
    std::string said_;
};

TEST_F(looking_into, a_block_of_another_process_is_copied_whole_while_it_is_locked_for_reading) {
    ASSERT_EQ(errno_of(in_.other_process, 7), 0) << said_;
    EXPECT_EQ(copied_, fakes::in_pages(8192));
    EXPECT_EQ(::lseek(target_, 0, SEEK_END), static_cast<off_t>(fakes::in_pages(8192)));
    char text[16] = {};
    EXPECT_EQ(::pread(target_, text, 15, 4096), 15);
    EXPECT_STREQ(text, "held by another");
    EXPECT_THAT(block_->syncs, ElementsAre(1, 5));
    EXPECT_EQ(in_.open_descriptors(), 0U);
    EXPECT_EQ(in_.mapped_bytes(), 0U);
}

TEST_F(looking_into, a_block_of_vcsm_cma_is_copied_without_a_call_that_could_crash) {
    block_->exporter = "vc_sm_cma";
    block_->made_by_alloc = true;
    EXPECT_EQ(errno_of(in_.other_process, 7), 0) << said_;
    EXPECT_TRUE(block_->syncs.empty());
    EXPECT_TRUE(in_.crashes.empty());
}

TEST_F(looking_into, what_cannot_be_had_is_said_and_leaves_nothing) {
    EXPECT_EQ(errno_of(12, 7), ESRCH);
    EXPECT_THAT(said_, HasSubstr("there is no process 12"));
    EXPECT_EQ(errno_of(in_.other_process, 8), EBADF);
    EXPECT_THAT(said_, HasSubstr("process 4711 has no descriptor 8"));
    in_.may_look = false;
    EXPECT_EQ(errno_of(in_.other_process, 7), EPERM);
    EXPECT_THAT(said_, HasSubstr("root"));
    in_.may_look = true;
    auto no_block = std::make_shared<fakes::object>();
    no_block->kind = "file";
    no_block->backing = fakes::make_memfd(4096);
    in_.its_descriptors[9] = no_block;
    EXPECT_EQ(errno_of(in_.other_process, 9), EINVAL);
    EXPECT_EQ(::lseek(target_, 0, SEEK_END), 0);
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    ::dup3(full, target_, O_CLOEXEC);
    ::close(full);
    EXPECT_EQ(errno_of(in_.other_process, 7), ENOSPC);
    EXPECT_THAT(block_->syncs, ElementsAre(1, 5)) << "unlocked all the same";
    EXPECT_EQ(in_.open_descriptors(), 0U);
    EXPECT_EQ(in_.mapped_bytes(), 0U);
}

} // namespace
