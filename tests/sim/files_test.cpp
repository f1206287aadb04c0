// What programs find in /dev, /proc and /sys, by whatever way they look: Python, a shell, the coreutils.
#include "sim/run.hpp"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace {

using testing::HasSubstr;
using vcsm::test::how;
using vcsm::test::outcome;
using vcsm::test::program;
using vcsm::test::simulate;

outcome shell(const std::string& script, const std::string& model = "pi4") {
    how manner;
    manner.options = {"--model", model};
    return simulate({"sh", "-c", script}, manner);
}

TEST(files, python_finds_devices_blocks_and_numbers) {
    const outcome made = simulate({"python3", VCSM_SIM_SOURCES "/files.py"});
    EXPECT_EQ(made.out, R"(dma_heap ['linux,cma', 'system', 'vidbuf_cached']
glob ['/dev/dma_heap/linux,cma', '/dev/dma_heap/system', '/dev/dma_heap/vidbuf_cached']
dev ['vcsm-cma', 'vcio', 'dma_heap', 'null']
kinds [('null', True), ('vcsm-cma', True)]
link linux,cma /dev/dma_heap/linux,cma
exists True False False
openat system
compatible raspberrypi,4-model-b
model Raspberry Pi 4 Model B Rev 1.4
revision 0xc03114
meminfo [['CmaTotal:', '524288', 'kB'], ['CmaFree:', '524288', 'kB']]
sync 0
block 1 0xc0000000 12288
meminfo ['524276']
state [['NAME', 'python'], ['SIZE', '12288'], ['VC_HANDLE', '00000001']]
)");
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(made.report["leaks"].size(), 0U);
}

TEST(files, a_shell_finds_the_device_by_every_way_to_it) {
    const std::string link = vcsm::test::fresh_path("link");
    const std::string directory = vcsm::test::fresh_path("directory");
    const outcome made = shell("test -c /dev/vcsm-cma && echo absolute\n"
                               "cd /dev && test -c vcsm-cma && test -c ../dev/./vcsm-cma && echo relative\n"
                               "ln -s /dev/vcsm-cma " +
                               link + " && test -c " + link +
                               " && echo link\n"
                               "ln -s /dev/dma_heap " +
                               directory + " && test -c " + directory +
                               "/system && echo through\n"
                               "ls " +
                               directory +
                               "/\n"
                               "exec 3<>/dev/vcsm-cma && test -c /proc/self/fd/3 && test -c /dev/fd/3 && echo open\n"
                               "readlink /proc/self/fd/3\n"
                               "test -e /dev/vcsm-cma/below || test -e /dev/dma_heap/none || echo not there\n"
                               "test -w /dev/vcsm-cma && test ! -x /dev/vcsm-cma && echo access\n"
                               "stat -c '%F %t %a' /dev/dma_heap/../vcsm-cma\n"
                               "ls -l /dev/vcsm-cma | cut -c1-10\n"
                               "rm " +
                               link + ' ' + directory);
    EXPECT_EQ(made.out, "absolute\nrelative\nlink\nthrough\nlinux,cma\nsystem\nvidbuf_cached\nopen\n/dev/vcsm-cma\n"
                        "not there\naccess\ncharacter special file a 666\ncrw-rw-rw-\n");
    EXPECT_EQ(made.err, "");
    EXPECT_EQ(made.status, 0);
}

TEST(files, other_files_stay_as_they_are) {
    const std::string script = "ls -la /usr /etc/passwd; cat /proc/version; cd /tmp && pwd -P; "
                               "test -e /does/not/exist || echo none; cat /proc/self/comm; readlink /proc/self/exe; "
                               "ls /dev/null /dev/shm >/dev/null && echo dev; find /sys/kernel -maxdepth 1 | sort";
    const std::string plain = vcsm::test::fresh_path("plain");
    EXPECT_EQ(std::system(("sh -c '" + script + "' >" + plain + " 2>&1").c_str()), 0);
    const outcome made = shell("exec 2>&1; " + script);
    const outcome expected = simulate({"cat", plain});
    EXPECT_EQ(made.out, expected.out);
    std::filesystem::remove(plain);
}

TEST(files, models_have_what_their_boards_have) {
    const std::string script =
        "for f in vcsm-cma vcsm vcio udmabuf dma_heap; do test -e /dev/$f && printf '%s ' $f; done; "
        "readlink /dev/dma_heap/vidbuf_cached || echo; "
        "grep -o 'CmaTotal: *[0-9]*' /proc/meminfo | tr -d ' '; "
        "tr '\\0' '\\n' </proc/device-tree/compatible | tail -n 1";
    EXPECT_EQ(shell(script, "pi1").out, "vcsm-cma vcio udmabuf dma_heap linux,cma\nCmaTotal:65536\nbrcm,bcm2835\n");
    EXPECT_EQ(shell(script, "pi3").out, "vcsm-cma vcio udmabuf dma_heap linux,cma\nCmaTotal:262144\nbrcm,bcm2837\n");
    EXPECT_EQ(shell(script, "pi4").out, "vcsm-cma vcio udmabuf dma_heap linux,cma\nCmaTotal:524288\nbrcm,bcm2711\n");
    EXPECT_EQ(shell(script, "pi5").out, "udmabuf dma_heap system\nCmaTotal:65536\nbrcm,bcm2712\n");
    // The shell is a 64-bit program, which has no use for /dev/vcsm.
    EXPECT_EQ(shell(script, "legacy").out, "vcsm-cma vcio udmabuf \nCmaTotal:131072\nbrcm,bcm2837\n");
}

TEST(files, memory_is_what_was_asked_for) {
    how manner;
    manner.options = {"--memory", "16M"};
    EXPECT_THAT(simulate({"grep", "CmaTotal", "/proc/meminfo"}, manner).out, HasSubstr(" 16384 kB"));
    manner.options = {};
    manner.environment = {{"VCSM_SIM_MEMORY", "32M"}};
    EXPECT_THAT(simulate({"grep", "CmaTotal", "/proc/meminfo"}, manner).out, HasSubstr(" 32768 kB"));
}

TEST(files, the_mailbox_gives_memory_to_map) {
    const std::string expected = "revision 0xc03114\nhandle>0 1 bus 0xc0000000\nphysical\ntoo much 0\n"
                                 "unlock 0, of none 1\nrelease 0\nagain 1\nbad pointer -1 EFAULT\n";
    for (const char* const name : {VCSM_SIM_MAILBOXES}) {
        const outcome made = simulate({program(name)});
        EXPECT_EQ(made.out, expected) << name;
        EXPECT_EQ(made.report["leaks"].size(), 0U);
        const outcome left = simulate({program(name), "leak"});
        ASSERT_EQ(left.report["leaks"].size(), 1U);
        EXPECT_EQ(left.report["leaks"][0]["call"], "mailbox allocate");
    }
}

TEST(files, a_program_that_changes_its_root_is_followed) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "chroot needs root";
    }
    const std::string root = vcsm::test::fresh_path("root");
    std::filesystem::create_directories(root + "/dev");
    std::filesystem::copy_file(program("probe-static"), root + "/probe");
    const outcome made = simulate({"chroot", root, "/probe", "alloc"});
    EXPECT_THAT(made.out, HasSubstr("alloc 5000: 0\n")) << made.err;
    EXPECT_EQ(made.status, 0);
    std::filesystem::remove_all(root);
}

} // namespace
