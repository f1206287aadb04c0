// The drivers' answers, row by row as they were seen on real kernels, to raw system calls of C programs.
#include "sim/run.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::HasSubstr;
using vcsm::test::outcome;
using vcsm::test::program;
using vcsm::test::simulate;

// Dynamically and statically linked, and for 32 bits where this machine can build it: all the same.
class answers : public testing::TestWithParam<const char*> {
  protected:
    static outcome probe(const std::vector<std::string>& chapter) {
        std::vector<std::string> command{program(GetParam())};
        command.insert(command.end(), chapter.begin(), chapter.end());
        outcome made = simulate(command);
        EXPECT_FALSE(made.timed_out);
        return made;
    }
    static void expect_clean(const outcome& made) {
        EXPECT_EQ(made.status, 0);
        EXPECT_EQ(made.report["leaks"].size(), 0U) << made.report;
        EXPECT_EQ(made.report["kernel_crashes"].size(), 0U) << made.report;
        EXPECT_EQ(made.report["killed"].size(), 0U) << made.report;
        EXPECT_EQ(made.err, "");
    }
};

TEST_P(answers, device_node) {
    const outcome made = probe({"node"});
    EXPECT_EQ(made.out, R"(stat: 0
character 1 major 10 mode 666
access: 0
read: EINVAL
write: EINVAL
fsync: EINVAL
ftruncate: EINVAL
lseek: ESPIPE
mmap: ENODEV
fallocate: ENODEV
poll: 1
revents 5
clean invalid 2: EINVAL
unknown: EINVAL
another type: EINVAL
low 8 bits: 0
alloc on a read-only descriptor: 0
)");
    expect_clean(made);
}

TEST_P(answers, allocating) {
    const outcome made = probe({"alloc"});
    EXPECT_EQ(made.out, R"(alloc 5000: 0
size 5000 num 77 handle>0 1 vc_handle>0 1 dma_addr>0 1
capacity: 8192
close-on-exec: 1
mode: 2
zero 1
alloc 0: EINVAL
alloc 0xfffff001: EINVAL
alloc 0xffffffff: EINVAL
alloc 0x7f000000: ENOMEM
alloc 0xfffff000: ENOMEM
alloc null: EFAULT
alloc bad pointer: EFAULT
import bad pointer: EFAULT
alloc half a pointer: EFAULT
)");
    expect_clean(made);
}

TEST_P(answers, block) {
    const outcome made = probe({"block"});
    EXPECT_EQ(made.out, R"(seek end: 8192
seek set: 0
seek set 1: EINVAL
seek cur: EINVAL
seek end -1: EINVAL
fstat: 0
mode 100600 size 8192
link: /dmabuf:
open link: ENXIO
pos:	0
flags:	02000002
mnt_id:
ino:
size:	8192
count:	1
exp_name:	vc_sm_cma
set name: 0
set name of 32 bytes: EINVAL
link: /dmabuf:grid
open link: ENXIO
pos:	0
flags:	02000002
mnt_id:
ino:
size:	8192
count:	1
exp_name:	vc_sm_cma
name:	grid
read: EINVAL
write: EINVAL
ftruncate: EINVAL
fsync: EINVAL
alloc on it: ENOTTY
poll: 1
revents 5
sync 0: EINVAL
sync 1: 0
sync 2: 0
sync 3: 0
sync 4: EINVAL
sync 5: 0
sync 6: 0
sync 7: 0
sync 8: EINVAL
sync 9: EINVAL
sync ~0: EINVAL
sync bad pointer: EFAULT
map: 0
map beyond the end: EINVAL
mremap to grow: EFAULT
msync: EINVAL
madvise: EINVAL
mlock: 0
mprotect: 0
mprotect back: 0
write from the mapping: 17
read into the mapping: 17
through a mapping
)");
    expect_clean(made);
}

TEST_P(answers, importing) {
    const outcome made = probe({"import"});
    EXPECT_EQ(made.out, R"(import: 0
size 8192 handle>0 1 vc_handle>0 1 dma_addr>0 1
close-on-exec: 1
import again: 0
other handle 1 same address 1
link: /dmabuf:
open link: ENXIO
pos:	0
flags:	02000002
mnt_id:
ino:
size:	8192
count:	1
exp_name:	vc_sm_cma
sync end: 0
byte x
import of two pieces: ENOMEM
struct written 0
import of one page of system: 0
)");
    expect_clean(made);
}

TEST_P(answers, heap) {
    const outcome made = probe({"heap"});
    EXPECT_EQ(made.out, R"(alloc: 0
size: 8192
close-on-exec: 1
sync 0: EINVAL
sync 3: 0
pos:	0
flags:	02000002
mnt_id:
ino:
size:	8192
count:	1
exp_name:	linux,cma
fd not 0: EINVAL
bad flags: EINVAL
bad heap flags: EINVAL
no bytes: EINVAL
too much: ENOMEM
bad pointer: EFAULT
read-only: EFAULT
of it is left: EBADF
)");
    expect_clean(made);
}

TEST_P(answers, udmabuf) {
    const outcome made = probe({"udmabuf"});
    EXPECT_EQ(made.out, R"(without seals: EINVAL
create: 0
size: 8192
close-on-exec: 1
sync: 0
sync on the memfd: ENOTTY
pos:	0
flags:	02000002
mnt_id:
ino:
size:	8192
count:	1
exp_name:	udmabuf
same pages
of no memfd: EBADFD
of half a page: EINVAL
of too much: EINVAL
)");
    expect_clean(made);
}

TEST_P(answers, descriptors_used_up) {
    const outcome made = probe({"descriptors"});
    EXPECT_EQ(made.out, "import: EFAULT\nheap: EMFILE\nopen: EMFILE\nalloc: 0\nhandle -1\n");
    EXPECT_EQ(made.report["kernel_crashes"].size(), 1U);
    EXPECT_EQ(made.report["leaks"].size(), 0U) << made.report;
}

TEST_P(answers, struct_in_read_only_memory_leaks_the_block) {
    const outcome made = probe({"read-only"});
    EXPECT_EQ(made.out, "alloc: EFAULT\n");
    ASSERT_EQ(made.report["leaks"].size(), 1U);
    EXPECT_EQ(made.report["leaks"][0]["name"], "read-only");
}

TEST_P(answers, what_crashes_a_kernel_ends_the_program_and_is_told) {
    for (const char* const how : {"closed", "file", "sync", "sync-import", "deep"}) {
        const outcome made = probe({"crash", how});
        EXPECT_EQ(made.out, "") << how;
        EXPECT_EQ(made.status, 128 + 9) << how;
        EXPECT_EQ(made.report["kernel_crashes"].size(), 1U) << how << made.report;
        EXPECT_THAT(made.err, HasSubstr("crashes a board's kernel")) << how;
    }
}

INSTANTIATE_TEST_SUITE_P(programs, answers, testing::Values(VCSM_SIM_PROBES), [](const auto& each) {
    std::string name{each.param};
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

} // namespace
