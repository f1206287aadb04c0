// The GPU's side from outside, faults on demand, and the trace.
#include "sim/run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using vcsm::test::how;
using vcsm::test::outcome;
using vcsm::test::program;
using vcsm::test::simulate;

TEST(control, a_script_can_be_the_gpu) {
    const outcome made = simulate({"python3", VCSM_SIM_SOURCES "/gpu.py", program("life")});
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(made.out, R"(read the program
write {'ok': True}
list [('talked about', 4096, 0, True)]
hold {'ok': True}
then by the GPU
held [(1, False)]
read by the GPU
release {'ok': True} []
'read 1 0 1' False 2 True
'read' False 22 True
'nonsense' False 22 True
'read x 0 1' False 22 True
'release 7' False 2 True
'write 1 0 abc' False 22 True
'' False 22 True
)");
    EXPECT_EQ(made.report["leaks"].size(), 0U);
}

TEST(control, the_socket_is_where_it_was_asked_for) {
    how manner;
    const std::string path = vcsm::test::fresh_path("control");
    manner.options = {"--control", path};
    EXPECT_EQ(simulate({"sh", "-c", "test -S " + path + " && echo $VCSM_SIM_CONTROL"}, manner).out, path + "\n");
    EXPECT_NE(::access(path.c_str(), F_OK), 0) << "it is removed at the end";
    EXPECT_EQ(simulate({"sh", "-c", "test -S $VCSM_SIM_CONTROL && echo always"}).out, "always\n");
}

TEST(faults, strike_the_call_that_was_named) {
    how manner;
    manner.options = {"--fail", "alloc@2=ENOMEM,sync@1=EINTR,import@*=EAGAIN,map@1=ENOMEM"};
    const outcome made = simulate({program("probe"), "faults"}, manner);
    EXPECT_EQ(made.out, "alloc 1: 0\nalloc 2: ENOMEM\nalloc 3: 0\nsync 1: EINTR\nsync 2: 0\n"
                        "import 1: EAGAIN\nimport 2: 0\nmap 1: ENOMEM\nmap 2: 0\n");
    manner.options = {};
    manner.environment = {{"VCSM_SIM_FAULTS", "alloc@1=ENOMEM"}};
    EXPECT_THAT(simulate({program("probe"), "faults"}, manner).out, HasSubstr("alloc 1: ENOMEM\nalloc 2: 0\n"));
}

TEST(trace, has_a_line_for_each_call_with_what_it_said_and_got) {
    how manner;
    manner.options = {"--trace"};
    const outcome made = simulate({program("life"), "clean"}, manner);
    EXPECT_THAT(made.err, ContainsRegex("openat\\(\"/dev/vcsm-cma\", O_RDWR\\|O_CLOEXEC\\) = [0-9]+\n"));
    EXPECT_THAT(made.err,
                ContainsRegex("ioctl\\([0-9]+, VC_SM_CMA_IOCTL_MEM_ALLOC, \\{size=4096, num=1, cached=0, "
                              "name=\"clean\"\\}\\) = 0 \\{handle=[0-9]+, vc_handle=1, dma_addr=0xc0000000\\}\n"));
    EXPECT_THAT(made.err,
                ContainsRegex("ioctl\\([0-9]+, DMA_BUF_IOCTL_SYNC, "
                              "\\{flags=DMA_BUF_SYNC_END\\|DMA_BUF_SYNC_READ\\|DMA_BUF_SYNC_WRITE\\}\\) = 0\n"));
    const outcome refused = simulate({program("probe"), "alloc"}, manner);
    EXPECT_THAT(refused.err, HasSubstr("= -1 EINVAL (Invalid argument)\n"));
}

} // namespace
