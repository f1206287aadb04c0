#include "filter.hpp"

#include "kernel/dma_buf.hpp"
#include "kernel/mailbox.hpp"
#include "kernel/syscalls.hpp"

#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

struct named_call {
    const char* name;
    call what;
};

constexpr std::array whole_calls{
    named_call{"open", call::open},
    named_call{"openat", call::openat},
    named_call{"openat2", call::openat2},
    named_call{"creat", call::creat},
    named_call{"access", call::access},
    named_call{"faccessat", call::faccessat},
    named_call{"faccessat2", call::faccessat2},
    named_call{"stat", call::stat},
    named_call{"lstat", call::lstat},
    named_call{"stat64", call::stat64},
    named_call{"lstat64", call::lstat64},
    named_call{"fstatat64", call::fstatat64},
    named_call{"statx", call::statx},
    named_call{"readlink", call::readlink},
    named_call{"readlinkat", call::readlinkat},
    named_call{"getxattr", call::getxattr},
    named_call{"lgetxattr", call::lgetxattr},
    named_call{"getdents", call::getdents},
    named_call{"getdents64", call::getdents64},
    named_call{"lseek", call::lseek},
    named_call{"_llseek", call::llseek},
    named_call{"ftruncate", call::ftruncate},
    named_call{"ftruncate64", call::ftruncate64},
    named_call{"fallocate", call::fallocate},
    named_call{"fsync", call::fsync},
    named_call{"fdatasync", call::fdatasync},
    named_call{"msync", call::msync},
    named_call{"mremap", call::mremap},
    named_call{"chroot", call::chroot}, // these four may make a path mean something else
    named_call{"pivot_root", call::chroot},
    named_call{"setns", call::chroot},
    named_call{"unshare", call::chroot},
    named_call{"execve", call::execve},
    named_call{"execveat", call::execveat},
    named_call{"exit", call::exit},
    named_call{"exit_group", call::exit_group},
};

// Types of ioctl numbers that wait, as bits 8 to 15 of the number: those of the drivers that are answered. What is not
// for one of them goes on; a driver's own answer to a number that it does not know is part of the truth.
constexpr std::array ioctl_types{std::uint64_t{'J'}, std::uint64_t{'I'}, std::uint64_t{'H'}, std::uint64_t{'u'},
                                 std::uint64_t{'b'}};
// /dev/vcsm-cma looks at the low 8 bits of a number alone.
constexpr std::array ioctl_low_bytes{std::uint64_t{0x5a}, std::uint64_t{0x5b}, std::uint64_t{0x5c}};
// The mailbox's type is also that of all DRM devices: by number only.
constexpr std::array ioctl_numbers{std::uint64_t{kernel::mailbox::property_32},
                                   std::uint64_t{kernel::mailbox::property_64}};

class builder {
  public:
    builder() : context_{seccomp_init(SCMP_ACT_ALLOW), &seccomp_release} {
        if (!context_) {
            throw std::system_error{ENOMEM, std::generic_category(), "seccomp_init"};
        }
        check(seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW));
        check(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
#if defined(__x86_64__)
        add_architecture(SCMP_ARCH_X86);
        add_architecture(SCMP_ARCH_X32);
#elif defined(__aarch64__)
        add_architecture(SCMP_ARCH_ARM);
#endif
        architectures_.push_back(seccomp_arch_native());
    }

    /// One rule for every architecture that has the call; `comparisons` are all to hold.
    void intercept(const char* name, call what, const std::vector<scmp_arg_cmp>& comparisons = {}) {
        bool known = false;
        for (const std::uint32_t architecture : architectures_) {
            const int number = seccomp_syscall_resolve_name_arch(architecture, name);
            if (number >= 0) {
                calls_[{token_in_notifications(architecture), number}] = what;
                known = true;
            }
        }
        const int number = seccomp_syscall_resolve_name(name);
        if (!known || number == __NR_SCMP_ERROR) {
            return;
        }
        const int error =
            seccomp_rule_add_array(context_.get(), SCMP_ACT_NOTIFY, number, static_cast<unsigned>(comparisons.size()),
                                   comparisons.empty() ? nullptr : comparisons.data());
        if (error != -EDOM && error != -EEXIST) { // EDOM: no architecture here has it
            check(error);
        }
    }

    [[nodiscard]] filter finish() {
        const kernel::unique_fd file{::memfd_create("filter", MFD_CLOEXEC)};
        if (!file) {
            kernel::throw_errno("memfd_create");
        }
        check(seccomp_export_bpf(context_.get(), file.get()));
        const off_t bytes = ::lseek(file.get(), 0, SEEK_END);
        filter made;
        made.program.resize(static_cast<std::size_t>(bytes) / sizeof(sock_filter));
        if (::pread(file.get(), made.program.data(), static_cast<std::size_t>(bytes), 0) != bytes) {
            kernel::throw_errno("pread");
        }
        made.calls = std::move(calls_);
        return made;
    }

  private:
    static void check(int result) {
        if (result < 0) {
            throw std::system_error{-result, std::generic_category(), "building the seccomp filter"};
        }
    }

    void add_architecture(std::uint32_t architecture) {
        check(seccomp_arch_add(context_.get(), architecture));
        architectures_.push_back(architecture);
    }

    static std::uint32_t token_in_notifications(std::uint32_t architecture) {
        // x32's calls come as x86-64's with a bit in the number, which libseccomp's numbers have too.
        return architecture == SCMP_ARCH_X32 ? std::uint32_t{SCMP_ARCH_X86_64} : architecture;
    }

    std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
    std::vector<std::uint32_t> architectures_;
    std::map<std::pair<std::uint32_t, int>, call> calls_;
};

scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

} // namespace

filter make_filter(bool all_mappings) {
    builder made;
    for (const named_call& each : whole_calls) {
        made.intercept(each.name, each.what);
    }
    // glibc's fstat is newfstatat with AT_EMPTY_PATH: it passes.
    made.intercept("newfstatat", call::newfstatat, {masked(3, AT_EMPTY_PATH, 0)});
    // Of the 64 bits of an ioctl number the kernel sees 32; musl extends the sign into the rest.
    for (const std::uint64_t type : ioctl_types) {
        made.intercept("ioctl", call::ioctl, {masked(1, 0xff00, type << 8)});
    }
    for (const std::uint64_t low : ioctl_low_bytes) {
        made.intercept("ioctl", call::ioctl, {masked(1, 0xff, low)});
    }
    for (const std::uint64_t number : ioctl_numbers) {
        made.intercept("ioctl", call::ioctl, {masked(1, 0xffffffff, number)});
    }
    made.intercept("madvise", call::madvise, {masked(2, 0xffffffff, MADV_DONTNEED)});
    for (const auto& [name, what] : {named_call{"mmap", call::mmap}, named_call{"mmap2", call::mmap2}}) {
        // Shared mappings are bit 0 of the flags, be they MAP_SHARED or MAP_SHARED_VALIDATE.
        std::vector<scmp_arg_cmp> shared_file{masked(3, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED)};
        if (!all_mappings) {
            shared_file.push_back({5, SCMP_CMP_NE, 0, 0});
        }
        made.intercept(name, what, shared_file);
    }
    return made.finish();
}

} // namespace vcsm::sim
