// The rest of what the library's devices rely on: how /dev/dma_heap/system and /dev/udmabuf refuse what makes no sense,
// and how a dma-buf is told from any other descriptor.
#include "dma_buf_kinds.hpp"

#include <cstring>

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

using namespace vcsm_vm;

namespace {

TEST(machine, has_pages_of_the_size_that_it_was_booted_for) {
    const char* const wanted = std::getenv("VCSM_VM_PAGE_SIZE");
    ASSERT_NE(wanted, nullptr);
    EXPECT_EQ(std::to_string(page_size()), wanted);
}

/// One descriptor of each sort that a caller might take for a block.
struct impostor {
    const char* name;
    descriptor (*make)();
};

// A heap's own node looks at the low byte of an ioctl's number alone: it takes SYNC for ALLOC. So the answer to a SYNC
// with every flag is no proof for a character device, and the kind of file must be looked at first.
const impostor impostors[] = {
    {"memfd", [] { return sealed_memfd(4096, F_SEAL_SHRINK); }},
    {"regular_file", [] { return descriptor{::open("/init", O_RDONLY)}; }},
    {"proc_file", [] { return descriptor{::open("/proc/self/status", O_RDONLY)}; }},
    {"directory", [] { return descriptor{::open("/", O_RDONLY)}; }},
    {"dev_null", [] { return descriptor{::open("/dev/null", O_RDWR)}; }},
    {"udmabuf_node", [] { return descriptor{::open(udmabuf_node, O_RDWR)}; }},
    {"socket", [] { return descriptor{::socket(AF_UNIX, SOCK_STREAM, 0)}; }},
    {"pipe",
     [] {
         int ends[2] = {-1, -1};
         const bool made = ::pipe(ends) == 0;
         ::close(ends[1]);
         return descriptor{made ? ends[0] : -1};
     }},
};

TEST(impostor, every_flag_of_sync_tells_a_dma_buf_from_a_file_a_pipe_and_a_socket) {
    for (const impostor& one : impostors) {
        const descriptor made = one.make();
        ASSERT_TRUE(made.valid()) << one.name;
        EXPECT_EQ(sync(made.get(), every_flag), ENOTTY) << one.name;
        EXPECT_TRUE(fdinfo(made.get(), "exp_name").empty()) << one.name;
        struct statfs where {};
        ASSERT_EQ(::fstatfs(made.get(), &where), 0) << one.name;
        EXPECT_NE(static_cast<unsigned>(where.f_type), dma_buf_file_system) << one.name;
    }
    EXPECT_EQ(sync(-1, every_flag), EBADF);
}

class system_heap_facts : public testing::Test {
  protected:
    void SetUp() override { // NOLINT(readability-identifier-naming): GoogleTest's name
        if (!has(system_heap)) {
            GTEST_SKIP() << "this kernel has no dma-heaps";
        }
    }
};

TEST_F(system_heap_facts, its_node_answers_every_flag_of_sync_like_a_dma_buf_does) {
    const descriptor heap{::open(system_heap, O_RDONLY | O_CLOEXEC)};
    ASSERT_TRUE(heap.valid());
    EXPECT_EQ(sync(heap.get(), every_flag), EINVAL);
    struct stat status {};
    ASSERT_EQ(::fstat(heap.get(), &status), 0);
    EXPECT_TRUE(S_ISCHR(status.st_mode)) << "which no dma-buf is";
}

TEST_F(system_heap_facts, refuses_what_makes_no_sense_and_gives_nothing) {
    const int before = dma_bufs_alive();
    EXPECT_FALSE(from_system_heap(0).valid());
    EXPECT_EQ(errno, EINVAL);
    EXPECT_FALSE(from_system_heap(~std::uint64_t{0}).valid());
    EXPECT_EQ(errno, EINVAL) << "rounded up to pages it wraps to nothing";
    // More than the machine has is not asked for here: the heap does not refuse it, but takes page after page until the
    // kernel kills processes. Whoever asks must compare with MemAvailable first.
    EXPECT_FALSE(from_system_heap(4096, O_RDWR | O_CLOEXEC | O_NONBLOCK).valid());
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(dma_bufs_alive(), before);
}

TEST_F(system_heap_facts, leaves_nothing_behind_where_it_cannot_tell_the_descriptor) {
    const descriptor heap{::open(system_heap, O_RDONLY | O_CLOEXEC)};
    void* const page = ::mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    struct dma_heap_allocation_data request {};
    request.len = page_size();
    request.fd_flags = O_RDWR | O_CLOEXEC;
    std::memcpy(page, &request, sizeof request);
    ASSERT_EQ(::mprotect(page, page_size(), PROT_READ), 0);
    const int alive = dma_bufs_alive();
    const int next = ::dup(heap.get());
    ::close(next);
    EXPECT_EQ(answer_of(heap.get(), DMA_HEAP_IOCTL_ALLOC, page), EFAULT);
    EXPECT_EQ(::fcntl(next, F_GETFD), -1);
    EXPECT_EQ(dma_bufs_alive(), alive);
    ::munmap(page, page_size());
}

TEST_F(system_heap_facts, refuses_a_request_with_a_descriptor_or_heap_flags_preset) {
    const descriptor heap{::open(system_heap, O_RDONLY | O_CLOEXEC)};
    struct dma_heap_allocation_data request {};
    request.len = page_size();
    request.fd_flags = O_RDWR | O_CLOEXEC;
    request.fd = static_cast<std::uint32_t>(-1);
    EXPECT_EQ(answer_of(heap.get(), DMA_HEAP_IOCTL_ALLOC, &request), EINVAL);
    request.fd = 0;
    request.heap_flags = 1;
    EXPECT_EQ(answer_of(heap.get(), DMA_HEAP_IOCTL_ALLOC, &request), EINVAL);
}

TEST_F(system_heap_facts, gives_a_block_without_close_on_exec_when_not_asked_for_it) {
    const descriptor block = from_system_heap(page_size(), O_RDWR);
    ASSERT_TRUE(block.valid());
    EXPECT_EQ(::fcntl(block.get(), F_GETFD), 0);
}

TEST_F(system_heap_facts, a_block_opened_for_reading_cannot_be_mapped_for_writing) {
    const descriptor block = from_system_heap(page_size(), O_RDONLY | O_CLOEXEC);
    ASSERT_TRUE(block.valid());
    EXPECT_EQ(::mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, block.get(), 0), MAP_FAILED);
    EXPECT_EQ(errno, EACCES);
}

TEST(udmabuf_facts, wants_a_memfd_that_cannot_shrink_but_can_be_written) {
    const descriptor unsealed = sealed_memfd(page_size(), F_SEAL_GROW);
    EXPECT_FALSE(from_memfd(unsealed.get(), page_size()).valid());
    EXPECT_EQ(errno, EINVAL);
    const descriptor read_only = sealed_memfd(page_size(), F_SEAL_SHRINK | F_SEAL_WRITE);
    EXPECT_FALSE(from_memfd(read_only.get(), page_size()).valid());
    EXPECT_EQ(errno, EINVAL);
    const descriptor sealed = sealed_memfd(page_size(), F_SEAL_SHRINK | F_SEAL_GROW);
    EXPECT_TRUE(from_memfd(sealed.get(), page_size()).valid());
}

TEST(udmabuf_facts, wants_whole_pages_within_the_memfd) {
    const descriptor memory = sealed_memfd(2 * page_size(), F_SEAL_SHRINK);
    EXPECT_FALSE(from_memfd(memory.get(), page_size() / 2).valid());
    EXPECT_EQ(errno, EINVAL);
    EXPECT_FALSE(from_memfd(memory.get(), page_size(), page_size() / 2).valid());
    EXPECT_EQ(errno, EINVAL);
    EXPECT_FALSE(from_memfd(memory.get(), 0).valid());
    EXPECT_EQ(errno, EINVAL);
    EXPECT_FALSE(from_memfd(memory.get(), 3 * page_size()).valid());
    EXPECT_EQ(errno, EINVAL);
    EXPECT_TRUE(from_memfd(memory.get(), page_size(), page_size()).valid());
}

TEST(udmabuf_facts, refuses_what_is_no_memfd) {
    const descriptor file{::open("/proc/self/status", O_RDONLY)};
    EXPECT_FALSE(from_memfd(file.get(), page_size()).valid());
    EXPECT_EQ(errno, EBADFD);
    EXPECT_FALSE(from_memfd(-1, page_size()).valid());
    EXPECT_EQ(errno, EBADFD);
}

TEST(udmabuf_facts, is_the_memory_of_the_memfd_and_outlives_its_descriptor) {
    descriptor memory = sealed_memfd(page_size(), F_SEAL_SHRINK);
    const descriptor block = from_memfd(memory.get(), page_size());
    ASSERT_TRUE(block.valid());
    ASSERT_EQ(::pwrite(memory.get(), "seen", 4, 100), 4);
    memory.close();
    void* const address = ::mmap(nullptr, page_size(), PROT_READ, MAP_SHARED, block.get(), 0);
    ASSERT_NE(address, MAP_FAILED);
    EXPECT_EQ(std::memcmp(static_cast<char*>(address) + 100, "seen", 4), 0);
    ::munmap(address, page_size());
}

TEST(udmabuf_facts, is_close_on_exec_only_when_asked) {
    const descriptor memory = sealed_memfd(page_size(), F_SEAL_SHRINK);
    EXPECT_EQ(::fcntl(from_memfd(memory.get(), page_size(), 0, 0).get(), F_GETFD), 0);
    EXPECT_EQ(::fcntl(from_memfd(memory.get(), page_size(), 0, 1).get(), F_GETFD), FD_CLOEXEC);
}

TEST(udmabuf_facts, gives_at_most_what_its_module_parameter_says) {
    const std::uint64_t most =
        static_cast<std::uint64_t>(std::atoll(text_of("/sys/module/udmabuf/parameters/size_limit_mb").c_str())) << 20;
    ASSERT_GT(most, 0U);
    const descriptor memory = sealed_memfd(most + page_size(), F_SEAL_SHRINK);
    EXPECT_TRUE(from_memfd(memory.get(), most).valid()) << std::strerror(errno);
    EXPECT_FALSE(from_memfd(memory.get(), most + page_size()).valid());
    EXPECT_EQ(errno, EINVAL);
}

} // namespace
