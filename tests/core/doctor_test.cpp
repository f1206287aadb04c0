#include "doctor.hpp"

#include "prefixed_root.hpp"

#include <cerrno>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

class doctor : public testing::Test {
  protected:
    doctor() {
        ::unsetenv("VCSM_DEVICE");
        root_.file("/proc/sys/kernel/osrelease", "6.12.25+rpt-rpi-v8\n");
        root_.file("/proc/thread-self/status", "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\n"
                                               "Groups:\t27 1000 \n");
        root_.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\npi:x:1000:1000::/home/pi:/bin/sh\nbroken\n");
        root_.file("/etc/group", "root:x:0:\nsudo:x:27:pi\nvideo:x:44:\npi:x:1000:\n");
    }
    ~doctor() override { ::setenv("VCSM_DEVICE", "simulated", 1); }
    void raspberry_pi() {
        root_.file("/proc/device-tree/compatible", std::string{"raspberrypi,4-model-b\0brcm,bcm2711\0", 35});
        root_.file("/proc/device-tree/model", std::string{"Raspberry Pi 4 Model B Rev 1.4\0", 31});
    }
    static vcsm::node_info closed_node(const std::string& path, const std::string& group, unsigned mode) {
        vcsm::node_info node;
        node.path = path;
        node.there = true;
        node.owner = "root";
        node.group = group;
        node.mode = mode;
        node.why_not = EACCES;
        return node;
    }

    vcsm_test::prefixed_root root_;
    vcsm::kernel::scoped_calls in_force_{root_};
};

TEST_F(doctor, a_machine_without_a_raspberry_pi_is_well_with_the_simulation) {
    const vcsm::examination found = vcsm::examine();
    EXPECT_FALSE(found.raspberry_pi);
    EXPECT_EQ(found.kernel, "6.12.25+rpt-rpi-v8");
    EXPECT_EQ(found.user, "pi");
    EXPECT_THAT(found.groups, ElementsAre("pi", "sudo"));
    EXPECT_EQ(found.device, "simulated");
    EXPECT_THAT(found.complaints, IsEmpty());
}

TEST_F(doctor, a_raspberry_pi_without_drivers_cannot_be_used_and_is_told_what_to_boot) {
    raspberry_pi();
    root_.file("/proc/meminfo", "CmaTotal: 65536 kB\nCmaFree: 60000 kB\n");
    const vcsm::examination found = vcsm::examine();
    EXPECT_EQ(found.board, "Raspberry Pi 4 Model B Rev 1.4");
    EXPECT_EQ(found.device, "");
    EXPECT_THAT(found.complaints, ElementsAre(Field(&vcsm::complaint::mend, HasSubstr("modprobe vc-sm-cma"))));
}

TEST_F(doctor, a_node_that_the_user_may_not_open_is_mended_by_its_group_or_by_a_rule) {
    vcsm::examination found;
    found.user = "pi";
    found.groups = {"pi"};
    found.nodes = {closed_node("/dev/dma_heap/linux,cma", "video", 0660),
                   closed_node("/dev/dma_heap/system", "root", 0600), closed_node("/dev/vcio", "root", 0600)};
    const auto complaints = vcsm::detail::complaints_about(found);
    ASSERT_EQ(complaints.size(), 2U) << "the mailbox is root's for good reason";
    EXPECT_EQ(complaints[0].what, "pi may not open /dev/dma_heap/linux,cma (root:video, mode 660)");
    EXPECT_EQ(complaints[0].mend, "sudo usermod -aG video pi, then log in again");
    EXPECT_THAT(complaints[1].mend, AllOf(HasSubstr("echo 'SUBSYSTEM==\"dma_heap\", GROUP=\"video\", MODE=\"0660\"' | "
                                                    "sudo tee -a /etc/udev/rules.d/60-vcsm.rules"),
                                          HasSubstr("usermod -aG video pi")));
}

TEST_F(doctor, nodes_are_described_as_they_are_and_left_as_they_were) {
    raspberry_pi();
    root_.file("/dev/dma_heap/linux,cma", "");
    root_.link("/dev/dma_heap/vidbuf_cached", "linux,cma");
    root_.refuse("/dev/dma_heap/linux,cma", EACCES);
    root_.refuse("/dev/dma_heap/vidbuf_cached", EACCES);
    const vcsm::examination found = vcsm::examine();
    std::string seen;
    for (const vcsm::node_info& each : found.nodes) {
        seen += each.path + (each.target.empty() ? "" : " -> " + each.target) + (each.there ? " there" : "") +
                (each.can_be_opened ? " open" : "") + (each.why_not == EACCES ? " closed" : "") + "\n";
    }
    EXPECT_EQ(seen, "/dev/vcsm-cma\n/dev/vcsm\n/dev/vcio\n/dev/dma_heap/linux,cma there closed\n"
                    "/dev/dma_heap/vidbuf_cached -> linux,cma there closed\n/dev/udmabuf\n");
    EXPECT_EQ(found.device, "");
}

TEST_F(doctor, too_little_contiguous_memory_is_mended_where_the_board_is_set_up) {
    vcsm::examination found;
    found.raspberry_pi = true;
    found.device = "vcsm-cma";
    EXPECT_THAT(
        vcsm::detail::complaints_about(found),
        ElementsAre(Field(&vcsm::complaint::mend, AllOf(HasSubstr("dtoverlay=cma,cma-256"), HasSubstr("cma=256M")))));
    found.contiguous_total = 64 << 20;
    found.contiguous_free = 40 << 20;
    found.largest_block = 1 << 20;
    EXPECT_THAT(vcsm::detail::complaints_about(found),
                ElementsAre(Field(&vcsm::complaint::what, HasSubstr("1048576 bytes"))));
    found.largest_block = 32 << 20;
    EXPECT_THAT(vcsm::detail::complaints_about(found), IsEmpty());
}

TEST_F(doctor, a_64_bit_program_beside_the_legacy_driver_is_told_why_it_is_of_no_use) {
    vcsm::examination found;
    found.program_bits = 64;
    vcsm::node_info legacy;
    legacy.path = "/dev/vcsm";
    legacy.there = legacy.can_be_opened = true;
    found.nodes = {legacy};
    EXPECT_THAT(vcsm::detail::complaints_about(found),
                ElementsAre(Field(&vcsm::complaint::what, HasSubstr("32-bit programs alone"))));
    found.program_bits = 32;
    EXPECT_THAT(vcsm::detail::complaints_about(found), IsEmpty());
}

TEST_F(doctor, what_is_no_line_of_passwd_is_left_out) {
    const auto known = vcsm::detail::parse_names("a:x:1:\n:x:2:\nb:x:-3\nc:x:99999999999:\nd\ne:x:5");
    EXPECT_EQ(known.size(), 2U);
    EXPECT_EQ(vcsm::detail::name_of(known, 1), "a");
    EXPECT_EQ(vcsm::detail::name_of(known, 5), "e");
    EXPECT_EQ(vcsm::detail::name_of(known, 2), "2");
}

} // namespace
