#include "kernel/syscalls.hpp"

#include "emulators.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kernel = vcsm::kernel;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

/// The kernel's calls, of which each named one first fails with the errnos that stand in its list.
class failing_calls : public kernel::calls {
  public:
    std::map<std::string, std::vector<int>> errnos;
    std::map<std::string, int> made;
    std::vector<int> closed;
    std::size_t longest_transfer = SIZE_MAX;

    int open(const char* path, int flags, mode_t mode) override {
        return fails("open") ? -1 : calls::open(path, flags, mode);
    }
    // The real close comes first: that is what Linux does before it says EINTR.
    int close(int descriptor) override {
        closed.push_back(descriptor);
        const int result = calls::close(descriptor);
        return fails("close") ? -1 : result;
    }
    int ioctl(int descriptor, unsigned long request, void* argument) override {
        return fails("ioctl") ? -1 : calls::ioctl(descriptor, request, argument);
    }
    void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) override {
        return fails("mmap") ? MAP_FAILED : calls::mmap(address, bytes, protection, flags, descriptor, offset);
    }
    int munmap(void* address, std::size_t bytes) override {
        unmapped.emplace_back(address, bytes);
        const int result = calls::munmap(address, bytes);
        return fails("munmap") ? -1 : result;
    }
    int madvise(void* address, std::size_t bytes, int advice) override {
        return fails("madvise") ? -1 : calls::madvise(address, bytes, advice);
    }
    int fcntl(int descriptor, int command, long argument) override {
        return fails("fcntl") ? -1 : calls::fcntl(descriptor, command, argument);
    }
    ssize_t read(int descriptor, void* buffer, std::size_t bytes) override {
        return fails("read") ? -1 : calls::read(descriptor, buffer, std::min(bytes, longest_transfer));
    }
    ssize_t write(int descriptor, const void* buffer, std::size_t bytes) override {
        return fails("write") ? -1 : calls::write(descriptor, buffer, std::min(bytes, longest_transfer));
    }
    ssize_t getdents64(int descriptor, void* buffer, std::size_t bytes) override {
        return fails("getdents64") ? -1 : calls::getdents64(descriptor, buffer, bytes);
    }

    std::vector<std::pair<void*, std::size_t>> unmapped;

  private:
    bool fails(const std::string& call) {
        const auto number = static_cast<std::size_t>(made[call]++);
        const std::vector<int>& planned = errnos[call];
        if (number >= planned.size()) {
            return false;
        }
        errno = planned[number];
        return true;
    }
};

class syscalls : public testing::Test {
  protected:
    syscalls() {
        std::string name = (std::filesystem::temp_directory_path() / "vcsm-syscalls-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) {
            ADD_FAILURE() << "no temporary folder";
        }
        folder = name;
    }
    ~syscalls() override { std::filesystem::remove_all(folder); }

    std::string file(const std::string& name, const std::string& text = {}) const {
        const std::filesystem::path path = folder / name;
        std::ofstream{path} << text;
        return path.string();
    }
    /// A memfd of whole pages.
    static kernel::unique_fd memory(std::size_t pages) {
        kernel::unique_fd made{::memfd_create("syscalls test", MFD_CLOEXEC)};
        EXPECT_EQ(::ftruncate(made.get(), static_cast<off_t>(pages * kernel::page_size())), 0);
        return made;
    }
    static bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) != -1; }
    static bool is_mapped(void* address) {
        unsigned char resident = 0;
        return ::mincore(address, 1, &resident) == 0;
    }

    std::filesystem::path folder;
    failing_calls calls;
    kernel::scoped_calls in_force{calls};
};

/// The errno of the std::system_error that `action` throws, and that it names `call`.
template <class Action>
int errno_thrown(Action&& action, const std::string& call) {
    try {
        action();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().category(), std::generic_category());
        EXPECT_EQ(std::string{error.what()}.rfind(call + ":", 0), 0U) << error.what();
        return error.code().value();
    }
    ADD_FAILURE() << "nothing was thrown";
    return 0;
}

const std::vector<int> interruptions{EINTR, EAGAIN, EINTR};

TEST_F(syscalls, other_calls_are_in_force_until_the_end_of_their_scope) {
    EXPECT_EQ(&kernel::system(), &calls);
    {
        failing_calls inner;
        const kernel::scoped_calls nested{inner};
        EXPECT_EQ(&kernel::system(), &inner);
    }
    EXPECT_EQ(&kernel::system(), &calls);
}

TEST_F(syscalls, an_interrupted_ioctl_is_repeated_until_it_is_done) {
    calls.errnos["ioctl"] = interruptions;
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const kernel::unique_fd out{ends[0]};
    const kernel::unique_fd in{ends[1]};
    ASSERT_EQ(::write(in.get(), "five!", 5), 5);
    int waiting = 0;
    EXPECT_EQ(kernel::ioctl(out.get(), FIONREAD, &waiting), 0);
    EXPECT_EQ(waiting, 5);
    EXPECT_EQ(calls.made["ioctl"], 4);
}

TEST_F(syscalls, an_ioctl_that_fails_otherwise_is_made_once_and_gives_its_errno) {
    calls.errnos["ioctl"] = {ENOMEM};
    int waiting = 0;
    EXPECT_EQ(kernel::ioctl(-1, FIONREAD, &waiting), ENOMEM);
    EXPECT_EQ(kernel::ioctl(-1, FIONREAD, &waiting), EBADF);
    EXPECT_EQ(calls.made["ioctl"], 2);
}

TEST_F(syscalls, a_descriptor_is_closed_with_its_owner_and_not_before) {
    int number = -1;
    {
        const kernel::unique_fd owner = memory(1);
        number = owner.get();
        EXPECT_TRUE(is_open(number));
    }
    EXPECT_FALSE(is_open(number));
    EXPECT_THAT(calls.closed, ElementsAre(number));
}

TEST_F(syscalls, a_close_that_was_interrupted_is_not_repeated_and_leaves_errno) {
    calls.errnos["close"] = {EINTR, EIO};
    kernel::unique_fd owner = memory(1);
    const int number = owner.get();
    errno = ERANGE;
    owner.reset();
    EXPECT_EQ(errno, ERANGE);
    owner.reset();
    EXPECT_THAT(calls.closed, ElementsAre(number));
}

TEST_F(syscalls, a_moved_descriptor_has_one_owner) {
    kernel::unique_fd first = memory(1);
    kernel::unique_fd second = memory(1);
    const int one = first.get();
    const int two = second.get();
    second = std::move(first);
    EXPECT_THAT(calls.closed, ElementsAre(two));
    EXPECT_EQ(second.get(), one);
    EXPECT_FALSE(first); // NOLINT(bugprone-use-after-move): empty is what it must be
    kernel::unique_fd& same = second;
    second = std::move(same);
    EXPECT_EQ(second.get(), one);
    const int released = second.release();
    EXPECT_TRUE(is_open(released));
    ::close(released);
    EXPECT_THAT(calls.closed, ElementsAre(two));
}

TEST_F(syscalls, pages_are_the_systems) {
    EXPECT_EQ(kernel::page_size(), static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
}

TEST_F(syscalls, sizes_are_rounded_up_to_whole_pages_as_far_as_numbers_go) {
    const std::size_t page = kernel::page_size();
    EXPECT_EQ(kernel::round_up_to_pages(0), 0U);
    EXPECT_EQ(kernel::round_up_to_pages(1), page);
    EXPECT_EQ(kernel::round_up_to_pages(page), page);
    EXPECT_EQ(kernel::round_up_to_pages(page + 1), 2 * page);
    const std::size_t last_page = SIZE_MAX - page + 1;
    EXPECT_EQ(kernel::round_up_to_pages(last_page), last_page);
    EXPECT_EQ(kernel::round_up_to_pages(last_page + 1), 0U);
    EXPECT_EQ(kernel::round_up_to_pages(SIZE_MAX), 0U);
}

TEST_F(syscalls, a_file_is_opened_close_on_exec_however_often_that_is_interrupted) {
    calls.errnos["open"] = interruptions;
    const kernel::unique_fd opened = kernel::open(file("some"), O_RDWR);
    EXPECT_EQ(::fcntl(opened.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(::fcntl(opened.get(), F_GETFL) & O_ACCMODE, O_RDWR);
    EXPECT_EQ(calls.made["open"], 4);
}

TEST_F(syscalls, a_file_that_cannot_be_opened_says_why) {
    const std::string missing = (folder / "missing").string();
    EXPECT_EQ(errno_thrown([&] { (void)kernel::open(missing, O_RDONLY); }, "open"), ENOENT);
    const kernel::unique_fd none = kernel::try_open(missing, O_RDONLY);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_FALSE(none);
}

TEST_F(syscalls, a_duplicate_is_close_on_exec_and_the_same_open_file) {
    calls.errnos["fcntl"] = interruptions;
    const kernel::unique_fd first = kernel::open(file("some", "0123456789"), O_RDONLY);
    const kernel::unique_fd second = kernel::duplicate(first.get());
    EXPECT_NE(first.get(), second.get());
    EXPECT_EQ(::fcntl(second.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(::lseek(first.get(), 4, SEEK_SET), 4);
    EXPECT_EQ(::lseek(second.get(), 0, SEEK_CUR), 4);
    EXPECT_EQ(errno_thrown([] { (void)kernel::duplicate(-1); }, "fcntl(F_DUPFD_CLOEXEC)"), EBADF);
}

TEST_F(syscalls, a_mapping_shares_its_file_from_the_offset_on_and_is_unmapped_with_its_owner) {
    const std::size_t page = kernel::page_size();
    const kernel::unique_fd descriptor = memory(3);
    std::byte* address = nullptr;
    {
        const kernel::mapping mapped = kernel::map_shared(descriptor.get(), 2 * page, static_cast<off_t>(page));
        address = mapped.data();
        EXPECT_EQ(mapped.size(), 2 * page);
        mapped.data()[5] = std::byte{0x77};
        unsigned char seen = 0;
        EXPECT_EQ(::pread(descriptor.get(), &seen, 1, static_cast<off_t>(page) + 5), 1);
        EXPECT_EQ(seen, 0x77);
        EXPECT_TRUE(is_mapped(address));
    }
    EXPECT_FALSE(is_mapped(address));
    EXPECT_THAT(calls.unmapped, ElementsAre(std::pair<void*, std::size_t>{address, 2 * page}));
}

TEST_F(syscalls, a_mapping_is_not_inherited_by_a_forked_child) {
    if (!vcsm_test::honours_madv_dontfork()) {
        GTEST_SKIP() << vcsm_test::ignores_madv_dontfork;
    }
    const kernel::unique_fd descriptor = memory(1);
    const kernel::mapping mapped = kernel::map_shared(descriptor.get(), kernel::page_size());
    const pid_t child = ::fork();
    if (child == 0) {
        // Whoever has inherited it gets away with the write.
        std::signal(SIGSEGV, SIG_DFL);
        mapped.data()[0] = std::byte{1};
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(mapped.data()[0], std::byte{0});
}

TEST_F(syscalls, a_forgotten_mapping_is_left_alone) {
    const kernel::unique_fd descriptor = memory(1);
    kernel::mapping mapped = kernel::map_shared(descriptor.get(), kernel::page_size());
    std::byte* const address = mapped.data();
    mapped.forget();
    mapped.reset();
    EXPECT_THAT(calls.unmapped, IsEmpty());
    EXPECT_TRUE(is_mapped(address));
    ::munmap(address, kernel::page_size());
}

TEST_F(syscalls, unmapping_leaves_errno) {
    calls.errnos["munmap"] = {EINVAL};
    const kernel::unique_fd descriptor = memory(1);
    kernel::mapping mapped = kernel::map_shared(descriptor.get(), kernel::page_size());
    errno = ERANGE;
    mapped.reset();
    EXPECT_EQ(errno, ERANGE);
    EXPECT_FALSE(mapped);
}

TEST_F(syscalls, an_interrupted_mapping_is_repeated_but_eagain_is_an_answer_there) {
    const kernel::unique_fd descriptor = memory(1);
    calls.errnos["mmap"] = {EINTR, EINTR};
    EXPECT_TRUE(kernel::map_shared(descriptor.get(), kernel::page_size()));
    EXPECT_EQ(calls.made["mmap"], 3);
    calls.made["mmap"] = 0;
    calls.errnos["mmap"] = {EAGAIN};
    EXPECT_EQ(errno_thrown([&] { (void)kernel::map_shared(descriptor.get(), kernel::page_size()); }, "mmap"), EAGAIN);
    EXPECT_EQ(calls.made["mmap"], 1);
}

TEST_F(syscalls, a_mapping_that_a_fork_would_inherit_is_not_given_out) {
    const kernel::unique_fd descriptor = memory(1);
    calls.errnos["madvise"] = {EINTR, ENOMEM};
    EXPECT_EQ(errno_thrown([&] { (void)kernel::map_shared(descriptor.get(), kernel::page_size()); },
                           "madvise(MADV_DONTFORK)"),
              ENOMEM);
    EXPECT_EQ(calls.unmapped.size(), 1U);
}

TEST_F(syscalls, a_file_without_a_size_is_read_whole) {
    const std::string text = kernel::read_text("/proc/self/status");
    EXPECT_EQ(text.rfind("Name:", 0), 0U);
    EXPECT_EQ(text.back(), '\n');
}

TEST_F(syscalls, a_text_comes_whole_from_short_and_interrupted_reads) {
    std::string written;
    for (int number = 0; number < 9000; ++number) {
        written += std::to_string(number);
    }
    ASSERT_GT(written.size(), 2U * 16384U);
    const std::string path = file("long", written);
    EXPECT_EQ(kernel::read_text(path), written);
    calls.errnos["read"] = interruptions;
    calls.made["read"] = 0;
    calls.longest_transfer = 1000;
    EXPECT_EQ(kernel::read_text(path), written);
}

TEST_F(syscalls, a_text_ends_at_its_limit) {
    const std::string path = file("ten", "0123456789");
    EXPECT_EQ(kernel::read_text(path, 4), "0123");
    EXPECT_EQ(kernel::read_text(path, 10), "0123456789");
    EXPECT_EQ(kernel::read_text(path, 0), "");
}

TEST_F(syscalls, a_text_that_cannot_be_read_says_why) {
    EXPECT_EQ(errno_thrown([&] { (void)kernel::read_text(folder.string()); }, "read"), EISDIR);
    EXPECT_EQ(errno_thrown([&] { (void)kernel::read_text((folder / "missing").string()); }, "open"), ENOENT);
}

TEST_F(syscalls, a_directory_is_listed_sorted_without_its_dots) {
    calls.errnos["getdents64"] = interruptions;
    for (const char* name : {"second", "..third", ".first", "zuletzt"}) {
        file(name);
    }
    EXPECT_THAT(kernel::list_directory(folder.string()), ElementsAre("..third", ".first", "second", "zuletzt"));
}

TEST_F(syscalls, a_directory_longer_than_one_call_tells_is_listed_whole) {
    std::vector<std::string> names;
    for (int number = 100; number < 400; ++number) {
        names.push_back(std::string(120, 'n') + std::to_string(number));
        file(names.back());
    }
    EXPECT_EQ(kernel::list_directory(folder.string()), names);
    EXPECT_GT(calls.made["getdents64"], 2);
}

TEST_F(syscalls, what_is_no_directory_is_not_listed) {
    const std::string plain = file("plain");
    EXPECT_EQ(errno_thrown([&] { (void)kernel::list_directory(plain); }, "open"), ENOTDIR);
    EXPECT_THAT(kernel::list_directory(folder.string()), ElementsAre("plain"));
}

TEST_F(syscalls, all_bytes_are_written_by_short_and_interrupted_writes) {
    calls.errnos["write"] = interruptions;
    calls.longest_transfer = 3;
    const std::string path = file("target");
    const std::string text = "0123456789";
    kernel::write_all(kernel::open(path, O_WRONLY).get(), std::as_bytes(std::span{text}));
    EXPECT_EQ(kernel::read_text(path), text);
    EXPECT_EQ(calls.made["write"], 3 + 4);
}

TEST_F(syscalls, a_write_that_fails_says_why) {
    const std::string text = "text";
    const kernel::unique_fd read_only = kernel::open(file("target"), O_RDONLY);
    EXPECT_EQ(errno_thrown([&] { kernel::write_all(read_only.get(), std::as_bytes(std::span{text})); }, "write"),
              EBADF);
}

} // namespace
