#include "kernel/proc_text.hpp"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace vcsm::kernel;
using testing::ElementsAre;

TEST(proc_text, fdinfo_of_a_dma_buf_tells_size_exporter_and_name) {
    const fdinfo_text said = parse_fdinfo("pos:\t0\nflags:\t02000002\nmnt_id:\t16\nino:\t1057\nsize:\t8192\ncount:\t2\n"
                                          "exp_name:\tvc_sm_cma\nname:\tmy block\n");
    EXPECT_EQ(said.flags, 02000002U);
    EXPECT_EQ(said.inode, 1057U);
    EXPECT_EQ(said.size, 8192U);
    EXPECT_EQ(said.count, 2U);
    EXPECT_EQ(said.exporter, "vc_sm_cma");
    EXPECT_EQ(said.name, "my block");
}

TEST(proc_text, fdinfo_of_another_file_has_no_exporter) {
    for (const char* const text : {"", "\n\n", "pos:\t0\nflags:\t02\n", "exp_name",
                                   "exp_name\n:", "xexp_name:\tsystem\n", " exp_name:\tsystem\n", "exp_name:\n"}) {
        EXPECT_EQ(parse_fdinfo(text).exporter, "") << text;
    }
    EXPECT_EQ(parse_fdinfo("size:\t-1\n").size, std::nullopt);
    EXPECT_EQ(parse_fdinfo("size:\t99999999999999999999999\n").size, std::nullopt);
}

TEST(proc_text, maps_are_read_line_by_line_and_what_is_no_line_is_left_out) {
    const auto lines = parse_maps("7f0000000000-7f0000002000 rw-s 00000000 00:0c 1057       /dmabuf:my block\n"
                                  "garbage\n"
                                  "7f0000002000-7f0000001000 rw-s 00000000 00:0c 1 /turned\n"
                                  "5600-5700 r--p 00001000 fe:00 12\n"
                                  "7f0000003000-7f00000");
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[0].end - lines[0].begin, 8192U);
    EXPECT_EQ(lines[0].permissions, "rw-s");
    EXPECT_EQ(lines[0].inode, 1057U);
    EXPECT_EQ(lines[0].path, "/dmabuf:my block");
    EXPECT_EQ(lines[1].offset, 0x1000U);
    EXPECT_EQ(lines[1].path, "");
}

TEST(proc_text, meminfo_counts_in_units_of_1024_bytes) {
    const std::string text = "MemTotal:         931252 kB\nCmaTotal:          65536 kB\nCmaFree:               96 kB\n"
                             "HugePages_Total:       3\nBroken:   99999999999999999999 kB\nOther:  5 MB\n";
    EXPECT_EQ(meminfo_bytes(text, "CmaFree"), 98304U);
    EXPECT_EQ(meminfo_bytes(text, "CmaTotal"), 67108864U);
    EXPECT_EQ(meminfo_bytes(text, "HugePages_Total"), 3U);
    EXPECT_EQ(meminfo_bytes(text, "Cma"), std::nullopt);
    EXPECT_EQ(meminfo_bytes(text, "Broken"), std::nullopt);
    EXPECT_EQ(meminfo_bytes(text, "Other"), std::nullopt);
}

TEST(proc_text, compatible_strings_end_with_a_nul_each) {
    EXPECT_THAT(parse_compatible(std::string_view{"raspberrypi,4-model-b\0brcm,bcm2711\0", 35}),
                ElementsAre("raspberrypi,4-model-b", "brcm,bcm2711"));
    EXPECT_THAT(parse_compatible("unended"), ElementsAre("unended"));
    EXPECT_TRUE(parse_compatible(std::string_view{"\0\0\0", 3}).empty());
}

// As the driver prints it, letter by letter.
constexpr std::string_view state = R"(
VC-ServiceHandle     00000000bd662e7b

Resources

Resource                00000000ac1b21b0
           NAME         scm-block
           SIZE         8192
           DMABUF       000000003a573a6d
           SGT          00000000a54a4efa
           DMA_ADDR     0x00000000c262a000
           VC_HANDLE     0000000A
           VC_MAPPING    1

Resource                00000000ac1b21b1
           NAME         sm-host-resource
           SIZE         4096
           DMABUF       000000003a573a6e
           ATTACH       000000003a573a6f
           SGT          00000000a54a4efb
           DMA_ADDR     0x00000000c262c000
           VC_HANDLE     00000001
           VC_MAPPING    2


Total resource count:   2

)";

TEST(proc_text, the_drivers_list_tells_what_videocore_knows) {
    const auto known = parse_vcsm_cma_state(state);
    ASSERT_EQ(known.size(), 2U);
    EXPECT_EQ(known[0].name, "scm-block");
    EXPECT_EQ(known[0].size, 8192U);
    EXPECT_EQ(known[0].bus_address, 0xc262a000U);
    EXPECT_EQ(known[0].videocore_handle, 10U);
    EXPECT_FALSE(known[0].imported);
    EXPECT_FALSE(known[0].freed);
    EXPECT_EQ(known[1].name, "sm-host-resource");
    EXPECT_TRUE(known[1].imported);
    EXPECT_TRUE(known[1].freed);
}

TEST(proc_text, the_kernels_list_of_dma_bufs_is_read_with_and_without_names) {
    const auto lines = parse_bufinfo("\nDma-buf Objects:\n"
                                     "size    \tflags   \tmode    \tcount   \texp_name\tino     \tname    \n"
                                     "00008192\t00000002\t00080007\t00000002\tsystem\t00001057\tmy block\n"
                                     "\tAttached Devices:\n\tvivid.0\nTotal 1 devices attached\n\n"
                                     "00004096\t00000002\t00080007\t00000001\tudmabuf\t00000009\t<none>\n"
                                     "\nTotal 2 objects, 12288 bytes\n");
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[0].size, 8192U);
    EXPECT_EQ(lines[0].count, 2U);
    EXPECT_EQ(lines[0].exporter, "system");
    EXPECT_EQ(lines[0].inode, 1057U);
    EXPECT_EQ(lines[0].name, "my block");
    EXPECT_EQ(lines[1].name, "");
}

TEST(proc_text, whatever_the_text_reading_it_ends_well) {
    std::mt19937 random{7};
    const std::string whole = std::string{state} + "00008192\t2\t7\t2\tsystem\t1057\tx\nsize:\t1\nexp_name:\tx\n"
                                                   "7f0000000000-7f0000002000 rw-s 0 00:0c 1 /dmabuf:\n";
    for (int round = 0; round != 3000; ++round) {
        std::string text = whole.substr(random() % whole.size(), random() % 200);
        for (int change = 0; change != 5 && !text.empty(); ++change) {
            text[random() % text.size()] = static_cast<char>(random());
        }
        std::size_t lines = 1;
        for (const char each : text) {
            lines += each == '\n' ? 1 : 0;
        }
        EXPECT_LE(parse_maps(text).size() + parse_bufinfo(text).size() + parse_vcsm_cma_state(text).size(), 3 * lines);
        (void)parse_fdinfo(text);
        (void)parse_compatible(text);
        (void)meminfo_bytes(text, "SIZE");
    }
}

} // namespace
