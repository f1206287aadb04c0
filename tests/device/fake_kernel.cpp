#include "device/fake_kernel.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include <dirent.h>
#include <linux/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fakes {

namespace {

/// A file of text, or a directory whose names lie in it, each ended by a NUL.
struct file final : object {
    place map(std::size_t, off_t offset) override { return {backing, offset}; }
};

std::string number_of(unsigned long number) {
    std::string text;
    do {
        text.insert(text.begin(), "0123456789abcdef"[number % 16]);
        number /= 16;
    } while (number != 0);
    return text;
}

bool is_proc(const std::string& kind) {
    return kind.rfind("/proc/", 0) == 0;
}

} // namespace

std::string hexadecimal(const void* data, std::size_t bytes) {
    const auto* const at = static_cast<const unsigned char*>(data);
    std::string text;
    for (std::size_t i = 0; i != bytes; ++i) {
        text += "0123456789abcdef"[at[i] >> 4U];
        text += "0123456789abcdef"[at[i] & 15U];
        if (i % 4 == 3 && i + 1 != bytes) {
            text += ' ';
        }
    }
    return text;
}

std::size_t in_pages(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

std::string word(std::size_t value) {
    const auto bits = static_cast<std::uint32_t>(value);
    return hexadecimal(&bits, sizeof bits);
}

int make_memfd(std::size_t bytes) {
    const int made = ::memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0 || ::ftruncate(made, static_cast<off_t>(bytes)) != 0) {
        std::abort();
    }
    return made;
}

int make_memfd(const std::string& text) {
    const int made = make_memfd(0);
    if (::pwrite(made, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
        std::abort();
    }
    return made;
}

object::~object() {
    if (backing >= 0) {
        ::close(backing);
    }
}

kernel::kernel() {
    add_node("/dev/null", [] {
        auto null = std::make_shared<file>();
        null->kind = "/dev/null";
        null->backing = make_memfd(0);
        return null;
    });
}

kernel::~kernel() = default;

void kernel::add_node(const std::string& path, std::function<std::shared_ptr<object>()> make) {
    nodes_[path] = std::move(make);
}

void kernel::refuse(const std::string& path, int errno_value) {
    refused_[path] = errno_value;
}

void kernel::add_text(const std::string& path, std::string text) {
    texts_[path] = std::move(text);
}

void kernel::add_directory(const std::string& path, std::vector<std::string> names) {
    directories_[path] = std::move(names);
}

int kernel::put(int real, std::shared_ptr<object> what) {
    descriptors_[real] = std::move(what);
    return real;
}

int kernel::install(std::shared_ptr<object> what) {
    if (!has_room()) {
        return -EMFILE;
    }
    const int real = ::fcntl(what->backing, F_DUPFD_CLOEXEC, 0);
    return put(real, std::move(what));
}

std::shared_ptr<object> kernel::at(int descriptor) const {
    const auto found = descriptors_.find(descriptor);
    return found == descriptors_.end() ? nullptr : found->second;
}

void kernel::fail_next(const std::string& call, std::vector<int> errno_values) {
    to_fail_[call] = std::move(errno_values);
}

bool kernel::must_fail(const std::string& call, const std::string& particular) {
    for (const std::string& name : {call, particular}) {
        std::vector<int>& waiting = to_fail_[name];
        if (!waiting.empty()) {
            errno = waiting.front();
            waiting.erase(waiting.begin());
            return true;
        }
    }
    if (++calls_made == fail_at) {
        errno = fail_with;
        return true;
    }
    return false;
}

void kernel::forget() {
    log.clear();
    requests.clear();
    crashes.clear();
}

std::vector<std::string> kernel::arguments_of(unsigned long number) const {
    std::vector<std::string> found;
    for (const request& each : requests) {
        if (each.number == number) {
            found.push_back(each.argument);
        }
    }
    return found;
}

std::size_t kernel::mapped_bytes() const {
    std::size_t sum = 0;
    for (const auto& [address, each] : mapped_) {
        sum += each.bytes;
    }
    return sum;
}

int kernel::open(const char* path, int flags, mode_t) {
    const std::string name{path};
    if (!is_proc(name) && name != "/dev/null") {
        const int access = flags & O_ACCMODE;
        log.push_back("open " + name +
                      (access == O_RDONLY   ? " r"
                       : access == O_WRONLY ? " w"
                                            : " rw") +
                      ((flags & O_CLOEXEC) != 0 ? " cloexec" : "") + ((flags & O_SYNC) == O_SYNC ? " sync" : ""));
    }
    if (must_fail("open", "open " + name)) {
        return -1;
    }
    if (const auto refused = refused_.find(name); refused != refused_.end()) {
        errno = refused->second;
        return -1;
    }
    if (!has_room()) {
        errno = EMFILE;
        return -1;
    }
    if (const auto node = nodes_.find(name); node != nodes_.end()) {
        const std::shared_ptr<object> opened = node->second();
        opened->node = name;
        return install(opened);
    }
    std::optional<std::string> text;
    const std::string fdinfo = "/proc/thread-self/fdinfo/";
    if (const auto found = texts_.find(name); found != texts_.end()) {
        text = found->second;
    } else if (const auto directory = directories_.find(name); directory != directories_.end()) {
        text.emplace();
        for (const std::string& entry : directory->second) {
            *text += entry + '\0';
        }
    } else if (name.rfind(fdinfo, 0) == 0 && proc_is_mounted) {
        if (const auto what = at(std::atoi(name.c_str() + fdinfo.size()))) {
            text = "pos:\t0\nflags:\t02000002\nmnt_id:\t16\nino:\t1057\n" + what->fdinfo();
        }
    }
    if (!text) {
        errno = ENOENT;
        return -1;
    }
    auto opened = std::make_shared<file>();
    opened->kind = name;
    opened->backing = make_memfd(*text);
    return install(std::move(opened));
}

int kernel::close(int descriptor) {
    const auto found = descriptors_.find(descriptor);
    if (found != descriptors_.end()) {
        if (!is_proc(found->second->kind) && found->second->kind != "/dev/null") {
            log.push_back("close " + found->second->kind);
        }
        descriptors_.erase(found);
    } else {
        log.push_back("close of a stranger");
    }
    return ::close(descriptor);
}

int kernel::ioctl(int descriptor, unsigned long number, void* argument) {
    const auto what = at(descriptor);
    const std::string kind = what ? what->kind : "nothing";
    log.push_back("ioctl " + kind + " " + number_of(number));
    // The mailbox's number tells the size of a pointer: its buffer tells its own in its first word.
    std::size_t bytes = _IOC_SIZE(number);
    if (kind == "/dev/vcio") {
        std::memcpy(&bytes, argument, 4);
        bytes &= 0xffffffff;
    } else if (_IOC_TYPE(number) == 'b' && _IOC_NR(number) == 1) {
        bytes = std::strlen(static_cast<const char*>(argument)) + 1;
    }
    requests.push_back({kind, number, hexadecimal(argument, bytes)});
    if (must_fail("ioctl", "ioctl " + number_of(number))) {
        return -1;
    }
    if (!what) {
        errno = EBADF;
        return -1;
    }
    const int result = what->ioctl(number, argument);
    if (result < 0) {
        errno = -result;
        return -1;
    }
    return result;
}

void* kernel::mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) {
    const auto what = at(descriptor);
    log.push_back("mmap " + (what ? what->kind : std::string{descriptor == -1 ? "anonymous" : "nothing"}) + " " +
                  std::to_string(bytes) + ((flags & MAP_SHARED) != 0 ? " shared" : " private") +
                  ((flags & MAP_FIXED) != 0 ? " fixed" : "") + " at " + std::to_string(offset));
    if (must_fail("mmap")) {
        return MAP_FAILED;
    }
    void* placed = MAP_FAILED;
    if (descriptor == -1) {
        placed = ::mmap(address, bytes, protection, flags, -1, offset);
    } else if (what) {
        const object::place where = what->map(bytes, offset);
        if (where.descriptor < 0) {
            errno = -where.descriptor;
            return MAP_FAILED;
        }
        placed = ::mmap(address, bytes, protection, flags, where.descriptor, where.offset);
    } else {
        errno = EBADF;
    }
    if (placed != MAP_FAILED) {
        const auto at_address = reinterpret_cast<std::uintptr_t>(placed);
        if ((flags & MAP_FIXED) != 0) { // whatever was mapped there is gone, or is room that stays around it
            const auto before = mapped_.upper_bound(at_address);
            if (before != mapped_.begin()) {
                auto around = std::prev(before);
                const std::uintptr_t begin = around->first;
                const std::size_t size = around->second.bytes;
                if (begin + size > at_address) {
                    const auto held = around->second;
                    mapped_.erase(around);
                    if (held.what) {
                        held.what->unmapped(placed, bytes);
                    }
                    if (begin != at_address) {
                        mapped_[begin] = {at_address - begin, held.what};
                    }
                    if (begin + size > at_address + bytes) {
                        mapped_[at_address + bytes] = {begin + size - at_address - bytes, held.what};
                    }
                }
            }
        }
        mapped_[at_address] = {bytes, what};
    }
    return placed;
}

int kernel::munmap(void* address, std::size_t bytes) {
    log.push_back("munmap " + std::to_string(bytes));
    auto at_address = reinterpret_cast<std::uintptr_t>(address);
    const std::uintptr_t end = at_address + bytes;
    while (at_address < end) { // one call may take several mappings that lie side by side
        const auto found = mapped_.find(at_address);
        if (found == mapped_.end() || at_address + found->second.bytes > end) {
            crashes.push_back("munmap of what is not mapped so");
            break;
        }
        const auto held = found->second;
        mapped_.erase(found);
        if (held.what) {
            held.what->unmapped(reinterpret_cast<void*>(at_address), held.bytes);
        }
        at_address += held.bytes;
    }
    return ::munmap(address, bytes);
}

int kernel::madvise(void* address, std::size_t bytes, int advice) {
    return must_fail("madvise") ? -1 : ::madvise(address, bytes, advice);
}

int kernel::memfd_create(const char* name, unsigned int flags) {
    log.push_back(std::string{"memfd_create"} + ((flags & MFD_CLOEXEC) != 0 ? " cloexec" : "") +
                  ((flags & MFD_ALLOW_SEALING) != 0 ? " sealing" : ""));
    if (must_fail("memfd_create")) {
        return -1;
    }
    auto made = std::make_shared<file>();
    made->kind = "memfd";
    made->backing = ::memfd_create(name, flags);
    return install(std::move(made));
}

int kernel::ftruncate(int descriptor, off_t bytes) {
    log.push_back("ftruncate " + std::to_string(bytes));
    return must_fail("ftruncate") ? -1 : ::ftruncate(descriptor, bytes);
}

int kernel::fcntl(int descriptor, int command, long argument) {
    if (command == F_ADD_SEALS) {
        log.push_back("seal " + std::to_string(argument));
    }
    if (must_fail("fcntl")) {
        return -1;
    }
    if (command == F_DUPFD_CLOEXEC || command == F_DUPFD) {
        if (!has_room()) {
            errno = EMFILE;
            return -1;
        }
        const int real = ::fcntl(descriptor, command, argument);
        if (const auto what = at(descriptor); what && real >= 0) {
            return put(real, what);
        }
        return real;
    }
    return ::fcntl(descriptor, command, argument);
}

int kernel::getrlimit(int resource, struct rlimit* limits) {
    if (must_fail("getrlimit")) {
        return -1;
    }
    if (resource != RLIMIT_NOFILE) {
        return calls::getrlimit(resource, limits);
    }
    *limits = {descriptor_limit, descriptor_limit};
    return 0;
}

int kernel::poll(struct pollfd* descriptors, nfds_t count, int timeout_milliseconds) {
    if (must_fail("poll")) {
        return -1;
    }
    const int ready = calls::poll(descriptors, count, timeout_milliseconds);
    // Its limit counts its own descriptors alone, whose real numbers are others: here they have the lowest.
    for (nfds_t i = 0; i < count; ++i) {
        if ((descriptors[i].revents & POLLNVAL) != 0 &&
            static_cast<std::size_t>(descriptors[i].fd) < descriptors_.size()) {
            descriptors[i].revents = 0;
        }
    }
    return ready;
}

int kernel::fstat(int descriptor, struct stat* result) {
    if (must_fail("fstat")) {
        return -1;
    }
    if (const auto what = at(descriptor); what && !what->node.empty()) {
        return stat(what->node.c_str(), result);
    }
    return ::fstat(descriptor, result);
}

int kernel::stat(const char* path, struct stat* result) {
    *result = {};
    if (const auto refused = refused_.find(path); refused != refused_.end() && refused->second != EACCES) {
        errno = refused->second;
        return -1;
    }
    if (nodes_.count(path) != 0 || refused_.count(path) != 0) {
        result->st_mode = S_IFCHR | 0660;
        const auto among_nodes = std::distance(nodes_.begin(), nodes_.find(path));
        result->st_rdev = 0xa00 + static_cast<dev_t>(among_nodes); // another for each
        return 0;
    }
    errno = ENOENT;
    return -1;
}

int kernel::access(const char* path, int) {
    if (const auto refused = refused_.find(path); refused != refused_.end()) {
        errno = refused->second;
        return -1;
    }
    if (nodes_.count(path) != 0) {
        return 0;
    }
    errno = ENOENT;
    return -1;
}

off_t kernel::lseek(int descriptor, off_t offset, int whence) {
    return must_fail("lseek") ? -1 : ::lseek(descriptor, offset, whence);
}

ssize_t kernel::read(int descriptor, void* buffer, std::size_t bytes) {
    return must_fail("read") ? -1 : ::read(descriptor, buffer, bytes);
}

ssize_t kernel::getdents64(int descriptor, void* buffer, std::size_t bytes) {
    // One entry a call, however large the buffer: callers must come back until there are none.
    std::string names(4096, '\0');
    const off_t at = ::lseek(descriptor, 0, SEEK_CUR);
    const ssize_t left = ::pread(descriptor, names.data(), names.size(), at);
    if (left <= 0) {
        return left;
    }
    const std::string name = names.substr(0, names.find('\0'));
    ::lseek(descriptor, at + static_cast<off_t>(name.size()) + 1, SEEK_SET);
    constexpr std::size_t head = offsetof(struct dirent64, d_name);
    const std::size_t length = (head + name.size() + 1 + 7) / 8 * 8;
    if (length > bytes) {
        errno = EINVAL;
        return -1;
    }
    std::vector<unsigned char> entry(length);
    const auto short_length = static_cast<unsigned short>(length);
    std::memcpy(entry.data() + offsetof(struct dirent64, d_reclen), &short_length, sizeof short_length);
    std::memcpy(entry.data() + head, name.c_str(), name.size() + 1);
    std::memcpy(buffer, entry.data(), length);
    return static_cast<ssize_t>(length);
}

int kernel::pidfd_open(pid_t process, unsigned int) {
    if (process != other_process) {
        errno = ESRCH;
        return -1;
    }
    auto pidfd = std::make_shared<file>();
    pidfd->kind = "pidfd";
    pidfd->backing = make_memfd(0);
    return install(std::move(pidfd));
}

int kernel::pidfd_getfd(int, int descriptor, unsigned int) {
    const auto found = its_descriptors.find(descriptor);
    if (!may_look || found == its_descriptors.end()) {
        errno = may_look ? EBADF : EPERM;
        return -1;
    }
    return install(found->second);
}

} // namespace fakes
