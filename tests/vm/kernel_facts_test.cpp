// What the library's devices rely on, asked of the kernel itself: the answers of dma-bufs, of the heap `system` and of
// /dev/udmabuf. scripts/test-vm runs this on a kernel that has them; nothing of the library is in it.
#include "dma_buf_kinds.hpp"

#include <array>
#include <cstring>

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

using namespace vcsm_vm;

namespace {

class dma_buf : public testing::TestWithParam<kind> {
  protected:
    static descriptor make(std::uint64_t bytes) {
        descriptor made = GetParam().make(bytes);
        EXPECT_TRUE(made.valid()) << GetParam().node << ": " << std::strerror(errno);
        return made;
    }
    static std::byte* map(const descriptor& block, std::size_t bytes, int protection = PROT_READ | PROT_WRITE) {
        void* const address = ::mmap(nullptr, bytes, protection, MAP_SHARED, block.get(), 0);
        EXPECT_NE(address, MAP_FAILED) << std::strerror(errno);
        return static_cast<std::byte*>(address);
    }
};

TEST_P(dma_buf, has_whole_pages_and_says_so_in_every_way) {
    const descriptor block = make(page_size() + 1);
    const auto whole = static_cast<off_t>(2 * page_size());
    EXPECT_EQ(::lseek(block.get(), 0, SEEK_END), whole);
    EXPECT_EQ(::lseek(block.get(), 0, SEEK_SET), 0);
    EXPECT_EQ(::lseek(block.get(), 1, SEEK_SET), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(::lseek(block.get(), -1, SEEK_END), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(fdinfo(block.get(), "size"), std::to_string(whole));
    struct stat status {};
    ASSERT_EQ(::fstat(block.get(), &status), 0);
    EXPECT_EQ(status.st_size, whole);
    // Linux 6.12 gives it no file type at all, later kernels that of a regular file: neither is a device's.
    EXPECT_EQ(status.st_mode & ~static_cast<mode_t>(S_IFREG), 0600U);
}

TEST_P(dma_buf, lies_in_a_file_system_of_its_own) {
    const descriptor block = make(page_size());
    struct statfs where {};
    ASSERT_EQ(::fstatfs(block.get(), &where), 0);
    EXPECT_EQ(static_cast<unsigned>(where.f_type), dma_buf_file_system);
}

TEST_P(dma_buf, comes_close_on_exec_and_writable) {
    const descriptor block = make(page_size());
    EXPECT_EQ(::fcntl(block.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(::fcntl(block.get(), F_GETFL) & O_ACCMODE, O_RDWR);
}

TEST_P(dma_buf, is_zero_when_new) {
    const descriptor block = make(4 * page_size());
    const std::byte* const memory = map(block, 4 * page_size());
    for (std::size_t at = 0; at < 4 * page_size(); ++at) {
        ASSERT_EQ(memory[at], std::byte{0}) << at;
    }
    ::munmap(const_cast<std::byte*>(memory), 4 * page_size());
}

TEST_P(dma_buf, answers_sync_by_its_flags) {
    const descriptor block = make(page_size());
    for (const std::uint64_t accepted : {1U, 2U, 3U, 5U, 6U, 7U}) {
        EXPECT_EQ(sync(block.get(), accepted), 0) << accepted;
    }
    for (const std::uint64_t refused :
         {std::uint64_t{0}, std::uint64_t{4}, std::uint64_t{8}, std::uint64_t{9}, every_flag}) {
        EXPECT_EQ(sync(block.get(), refused), EINVAL) << refused;
    }
    EXPECT_EQ(answer_of(block.get(), DMA_BUF_IOCTL_SYNC, reinterpret_cast<void*>(8)), EFAULT);
}

TEST_P(dma_buf, answers_enotty_to_the_ioctls_of_devices) {
    const descriptor block = make(page_size());
    struct dma_heap_allocation_data heap {};
    struct udmabuf_create create {};
    EXPECT_EQ(answer_of(block.get(), DMA_HEAP_IOCTL_ALLOC, &heap), ENOTTY);
    EXPECT_EQ(answer_of(block.get(), UDMABUF_CREATE, &create), ENOTTY);
}

TEST_P(dma_buf, tells_its_exporter_and_its_name) {
    const descriptor block = make(page_size());
    const std::string exporter = fdinfo(block.get(), "exp_name");
    EXPECT_EQ(exporter, std::string{GetParam().name} == "udmabuf" ? "udmabuf" : "system");
    EXPECT_EQ(fdinfo(block.get(), "name"), "");
    std::array<char, 64> name{"0123456789012345678901234567890"};
    ASSERT_EQ(std::strlen(name.data()), 31U);
    EXPECT_EQ(answer_of(block.get(), DMA_BUF_SET_NAME_B, name.data()), 0) << "31 bytes are the most";
    EXPECT_EQ(fdinfo(block.get(), "name"), name.data());
    name[31] = 'x';
    EXPECT_EQ(answer_of(block.get(), DMA_BUF_SET_NAME_B, name.data()), EINVAL) << "32 bytes are too many";
    EXPECT_EQ(answer_of(block.get(), DMA_BUF_SET_NAME_A, const_cast<char*>("other")), 0);
    EXPECT_EQ(fdinfo(block.get(), "name"), "other");
    std::array<char, 64> link{};
    ASSERT_GT(::readlink(("/proc/self/fd/" + std::to_string(block.get())).c_str(), link.data(), link.size() - 1), 0);
    EXPECT_STREQ(link.data(), "/dmabuf:other");
}

TEST_P(dma_buf, counts_its_holders_in_fdinfo) {
    const descriptor block = make(page_size());
    const int alone = std::atoi(fdinfo(block.get(), "count").c_str());
    EXPECT_GE(alone, 1);
    std::byte* const memory = map(block, page_size());
    EXPECT_GT(std::atoi(fdinfo(block.get(), "count").c_str()), alone) << "a mapping holds it too";
    ::munmap(memory, page_size());
    EXPECT_EQ(std::atoi(fdinfo(block.get(), "count").c_str()), alone);
}

TEST_P(dma_buf, is_named_in_the_maps_of_its_holder) {
    const descriptor block = make(page_size());
    ASSERT_EQ(answer_of(block.get(), DMA_BUF_SET_NAME_B, const_cast<char*>("in maps")), 0);
    std::byte* const memory = map(block, page_size());
    EXPECT_NE(text_of("/proc/self/maps").find("/dmabuf:in maps"), std::string::npos);
    ::munmap(memory, page_size());
}

TEST_P(dma_buf, maps_no_further_than_its_end) {
    const descriptor block = make(2 * page_size());
    const auto page = static_cast<off_t>(page_size());
    EXPECT_EQ(::mmap(nullptr, 3 * page_size(), PROT_READ, MAP_SHARED, block.get(), 0), MAP_FAILED);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(::mmap(nullptr, 2 * page_size(), PROT_READ, MAP_SHARED, block.get(), page), MAP_FAILED);
    EXPECT_EQ(errno, EINVAL);
}

TEST_P(dma_buf, cannot_be_read_written_or_cut) {
    const descriptor block = make(page_size());
    char byte = 0;
    EXPECT_EQ(::read(block.get(), &byte, 1), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(::write(block.get(), &byte, 1), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(::ftruncate(block.get(), 0), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(::open(("/proc/self/fd/" + std::to_string(block.get())).c_str(), O_RDWR), -1);
    EXPECT_EQ(errno, ENXIO);
}

TEST_P(dma_buf, can_be_guarded_page_by_page) {
    const descriptor block = make(2 * page_size());
    std::byte* const memory = map(block, 2 * page_size());
    EXPECT_EQ(::mprotect(memory, 2 * page_size(), PROT_NONE), 0);
    EXPECT_EQ(::mprotect(memory + page_size(), page_size(), PROT_READ), 0);
    EXPECT_EQ(::mprotect(memory, 2 * page_size(), PROT_READ | PROT_WRITE), 0);
    memory[2 * page_size() - 1] = std::byte{7};
    ::munmap(memory, 2 * page_size());
}

TEST_P(dma_buf, is_not_mapped_in_a_forked_child_that_was_told_not_to) {
    const descriptor block = make(page_size());
    std::byte* const memory = map(block, page_size());
    ASSERT_EQ(::madvise(memory, page_size(), MADV_DONTFORK), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        unsigned char resident = 0;
        ::_exit(::mincore(memory, page_size(), &resident) == -1 && errno == ENOMEM ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    ::munmap(memory, page_size());
}

TEST_P(dma_buf, is_one_memory_for_two_processes_and_two_mappings) {
    const descriptor block = make(page_size());
    std::byte* const memory = map(block, page_size());
    const pid_t child = ::fork();
    if (child == 0) {
        void* const own = ::mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, block.get(), 0);
        static_cast<std::byte*>(own)[page_size() - 1] = std::byte{0x5a};
        ::_exit(0);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(memory[page_size() - 1], std::byte{0x5a});
    ::munmap(memory, page_size());
}

TEST_P(dma_buf, can_be_taken_from_another_process_by_its_number) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const descriptor block = GetParam().make(page_size());
        std::byte* const memory = map(block, page_size());
        memory[3] = std::byte{0x33};
        const int number = block.get();
        if (::write(ready[1], &number, sizeof number) != sizeof number) {
            ::_exit(1);
        }
        ::pause();
    }
    int number = -1;
    ASSERT_EQ(::read(ready[0], &number, sizeof number), static_cast<ssize_t>(sizeof number));
    const descriptor process{static_cast<int>(::syscall(SYS_pidfd_open, child, 0))};
    const descriptor taken{static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0))};
    ASSERT_TRUE(taken.valid()) << std::strerror(errno);
    EXPECT_EQ(sync(taken.get(), every_flag), EINVAL);
    std::byte* const memory = map(taken, page_size());
    EXPECT_EQ(memory[3], std::byte{0x33});
    ::munmap(memory, page_size());
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_P(dma_buf, lives_until_its_last_descriptor_and_mapping_are_gone) {
    const int before = dma_bufs_alive();
    ASSERT_GE(before, 0) << "debugfs is not mounted";
    descriptor block = make(page_size());
    std::byte* const memory = map(block, page_size());
    EXPECT_EQ(dma_bufs_alive(), before + 1) << text_of("/sys/kernel/debug/dma_buf/bufinfo");
    block.close();
    EXPECT_EQ(dma_bufs_alive(), before + 1);
    ::munmap(memory, page_size());
    EXPECT_EQ(dma_bufs_alive(), before);
}

TEST_P(dma_buf, is_not_made_without_a_free_descriptor) {
    const int before = dma_bufs_alive();
    struct rlimit limit {};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    // One more descriptor for the node, none for the block.
    const descriptor memory = sealed_memfd(page_size(), F_SEAL_SHRINK);
    const descriptor next{::open("/dev/null", O_RDONLY)};
    const struct rlimit tight { static_cast<rlim_t>(next.get()) + 2, limit.rlim_max };
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    const descriptor block = std::string{GetParam().name} == "udmabuf" ? from_memfd(memory.get(), page_size())
                                                                       : from_system_heap(page_size());
    const int error = errno;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_FALSE(block.valid());
    EXPECT_EQ(error, EMFILE);
    EXPECT_EQ(dma_bufs_alive(), before);
}

INSTANTIATE_TEST_SUITE_P(kernel, dma_buf, testing::ValuesIn(kinds()),
                         [](const testing::TestParamInfo<kind>& one) { return std::string{one.param.name}; });

} // namespace
