// A kernel for the devices to run on: nodes, dma-bufs and /proc, answering as the drivers are documented to, and
// keeping a record of what they were asked.
//
// It is no echo of what the code expects: each driver is modelled by itself (fake_drivers.hpp), with what crashes a
// real kernel written down in `crashes`, and whatever is open or mapped in the end is counted.
#pragma once

#include "kernel/calls.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace fakes {

/// Bytes in whole pages of this system, as drivers give memory.
[[nodiscard]] std::size_t in_pages(std::size_t bytes);
/// A word of 32 bits as the records of arguments show it.
[[nodiscard]] std::string word(std::size_t value);
/// The record of giving a dma-buf its name, DMA_BUF_SET_NAME, whose number has the size of a pointer in it.
[[nodiscard]] inline std::string set_name_call() {
    return sizeof(void*) == 8 ? "ioctl dma-buf 40086201" : "ioctl dma-buf 40046201";
}

/// Something that a descriptor can stand for.
struct object {
    object() = default;
    object(const object&) = delete;
    object& operator=(const object&) = delete;
    virtual ~object();
    std::string kind; ///< "/dev/vcsm-cma", "dma-buf", …
    int backing = -1; ///< a memfd, for what can be mapped or read; owned
    std::size_t bytes = 0;
    std::string node; ///< the path that it was opened by, for what a node gave

    /// As the system call: a result, or a negative errno.
    virtual int ioctl(unsigned long, void*) { return -25; /* ENOTTY */ }
    /// A descriptor and the offset in it to map really; or a negative errno.
    struct place {
        int descriptor = -1;
        off_t offset = 0;
    };
    virtual place map(std::size_t, off_t) { return {-19 /* ENODEV */, 0}; }
    virtual void unmapped(void*, std::size_t) {}
    /// The text of /proc/self/fdinfo beyond what every file has.
    virtual std::string fdinfo() const { return {}; }
};

/// One ioctl as it arrived.
struct request {
    std::string kind;
    unsigned long number = 0;
    std::string argument; ///< its bytes on arrival, in hexadecimal
};

class kernel final : public vcsm::kernel::calls {
  public:
    kernel();
    ~kernel() override;

    /// What opening a path gives: a new object each time, or a negative errno from `refuse`.
    void add_node(const std::string& path, std::function<std::shared_ptr<object>()> make);
    void refuse(const std::string& path, int errno_value);
    void add_text(const std::string& path, std::string text);
    void add_directory(const std::string& path, std::vector<std::string> names);
    /// Puts an object behind a new descriptor, as a driver does. -EMFILE where there is no room.
    int install(std::shared_ptr<object> what);
    /// The object behind a descriptor; empty for one that is none of this kernel's.
    [[nodiscard]] std::shared_ptr<object> at(int descriptor) const;

    /// The next calls of that name ("open", "mmap", "ioctl 80404a5a", …) fail with these errno values, in this order.
    void fail_next(const std::string& call, std::vector<int> errno_values);
    /// The n-th call of the names that can fail, from 1, fails with `errno_value`; 0: none.
    int fail_at = 0;
    int fail_with = 0;
    int calls_made = 0;

    /// Calls in order, each one line: "open /dev/vcsm-cma rw cloexec", "ioctl /dev/vcsm-cma 80404a5a", "mmap dma-buf
    /// 8192 shared at 0", "munmap 8192", "close dma-buf". Reading /proc is left out.
    std::vector<std::string> log;
    std::vector<request> requests;
    /// What would have crashed a real kernel.
    std::vector<std::string> crashes;
    [[nodiscard]] std::vector<std::string> arguments_of(unsigned long number) const;
    /// Forgets what is recorded up to now.
    void forget();

    /// Descriptors of this kernel that are open, and bytes that are mapped.
    [[nodiscard]] std::size_t open_descriptors() const { return descriptors_.size(); }
    [[nodiscard]] std::size_t mapped_bytes() const;
    /// No more descriptors than this many can be open.
    std::size_t descriptor_limit = 1000000;
    [[nodiscard]] bool has_room() const { return descriptors_.size() < descriptor_limit; }
    bool proc_is_mounted = true;

    /// One other process, with its descriptors, and whether it may be looked into.
    int other_process = 4711;
    std::map<int, std::shared_ptr<object>> its_descriptors;
    bool may_look = true;

    int open(const char* path, int flags, mode_t mode) override;
    int close(int descriptor) override;
    int ioctl(int descriptor, unsigned long number, void* argument) override;
    void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) override;
    int munmap(void* address, std::size_t bytes) override;
    int madvise(void* address, std::size_t bytes, int advice) override;
    int memfd_create(const char* name, unsigned int flags) override;
    int ftruncate(int descriptor, off_t bytes) override;
    int fcntl(int descriptor, int command, long argument) override;
    int getrlimit(int resource, struct rlimit* limits) override;
    int poll(struct pollfd* descriptors, nfds_t count, int timeout_milliseconds) override;
    int fstat(int descriptor, struct stat* result) override;
    int stat(const char* path, struct stat* result) override;
    int access(const char* path, int mode) override;
    off_t lseek(int descriptor, off_t offset, int whence) override;
    ssize_t read(int descriptor, void* buffer, std::size_t bytes) override;
    ssize_t getdents64(int descriptor, void* buffer, std::size_t bytes) override;
    int pidfd_open(pid_t process, unsigned int flags) override;
    int pidfd_getfd(int pidfd, int descriptor, unsigned int flags) override;

  private:
    struct mapped {
        std::size_t bytes = 0;
        std::shared_ptr<object> what; ///< empty: anonymous memory
    };

    [[nodiscard]] bool must_fail(const std::string& call, const std::string& particular = {});
    int put(int real, std::shared_ptr<object> what);

    std::map<std::string, std::function<std::shared_ptr<object>()>> nodes_;
    std::map<std::string, int> refused_;
    std::map<std::string, std::string> texts_;
    std::map<std::string, std::vector<std::string>> directories_;
    std::map<int, std::shared_ptr<object>> descriptors_;
    std::map<std::uintptr_t, mapped> mapped_;
    std::map<std::string, std::vector<int>> to_fail_;
};

/// Bytes as hexadecimal, a space after each 4.
[[nodiscard]] std::string hexadecimal(const void* data, std::size_t bytes);
/// A memfd of that size; of zeros, or of a text.
[[nodiscard]] int make_memfd(std::size_t bytes);
[[nodiscard]] int make_memfd(const std::string& text);

} // namespace fakes
