// What every device is to the core: something that gives memory, and memory that can be locked.
//
// One implementation a kernel interface, plus the simulated one. The core (`src/block.cpp`) sees to handles, counting
// of locks, threads, fork and exit; a device only speaks to its interface.
#pragma once

#include "kernel/barrier.hpp"
#include "kernel/dma_buf.hpp"
#include "kernel/syscalls.hpp"

#include <vcsm/error.hpp>
#include <vcsm/types.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace vcsm::device {

/// What a device can give.
struct capabilities {
    bool videocore_handle = false;
    bool bus_address = false;
    bool dmabuf = false;     ///< import and export
    bool host_cache = false; ///< can give blocks that the CPU caches
};

/// Which way data is about to go, or went, between the CPU and the memory. The bits are DMA_BUF_SYNC_READ and _WRITE.
enum class direction : unsigned { read = 1, write = 2, read_write = 3 };

/// Which file a descriptor is of: two descriptors of one dma-buf have the same.
struct file_identity {
    dev_t device;
    ino_t inode;
    friend bool operator==(const file_identity&, const file_identity&) = default;
};
/// Nothing where it cannot be told: a bad descriptor, or a dma-buf of a kernel before 5.3, where all have one inode.
[[nodiscard]] VCSM_API std::optional<file_identity> identity_of(int descriptor) noexcept;

/// A block as it was asked for. The core has checked it: bytes are above 0 and within max_bytes().
struct request {
    std::size_t bytes = 0;
    std::string name; ///< whole; a device cuts it to what its interface holds
    cache_mode cache = cache_mode::none;
    std::size_t alignment = 1; ///< of the bus address where there is one, else of the CPU's: a power of two
};

/// `count` ranges of `bytes` bytes, each `stride` after the one before; the first begins at `offset`.
struct strided_range {
    std::size_t offset = 0;
    std::size_t bytes = 0;
    std::size_t count = 1;
    std::size_t stride = 0;

    /// The same bytes in as few ranges as they can be said in: those that touch or overlap are one.
    [[nodiscard]] strided_range joined() const noexcept {
        return stride <= bytes ? strided_range{offset, stride * (count - 1) + bytes, 1, 0} : *this;
    }
};

/// One allocation. Calls are made one at a time (the core holds the allocation's mutex), except capacity() and
/// granted_cache(), which never change.
///
/// Life: allocated → any number of begin/end → release() or abandon() at most once → destroyed. The destructor releases
/// what is not released yet, and unmaps. Nothing but map, begin_access, end_access and the getters throws.
class VCSM_API memory {
  public:
    memory(std::byte* data, std::size_t capacity, cache_mode granted) noexcept
        : data_{data}, capacity_{capacity}, granted_{granted} {}
    memory(const memory&) = delete;
    memory& operator=(const memory&) = delete;
    virtual ~memory() = default;

    /// The CPU's mapping, which stays for the whole life of the object. Null until map() on a device that maps when the
    /// CPU first wants to look: many a block is VideoCore's alone.
    [[nodiscard]] std::byte* data() const noexcept { return data_; }
    /// Sees to it that there is one, and gives it. Throws vcsm::error; then nothing has changed. Not after release().
    virtual std::byte* map() { return data_; }
    /// Bytes that are, or would be, mapped: what the kernel gave, whole pages.
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] cache_mode granted_cache() const noexcept { return granted_; }

    /// Invalidates the CPU's cache as far as `way` needs it. Throws vcsm::error; then nothing has begun.
    void begin_access(direction way) {
        switch (bracket_) {
        case bracket::own:
            begin_own_access(way);
            break;
        case bracket::barrier:
            kernel::memory_barrier();
            break;
        case bracket::sync:
            sync(DMA_BUF_SYNC_START | static_cast<unsigned>(way), "lock");
            break;
        }
    }
    /// Cleans the CPU's cache where `way` includes write. May be called more often than begin_access: once for each
    /// lock that may have written. Throws vcsm::error when VideoCore may not see what was written.
    void end_access(direction way) {
        switch (bracket_) {
        case bracket::own:
            end_own_access(way);
            break;
        case bracket::barrier:
            kernel::memory_barrier();
            break;
        case bracket::sync:
            sync(DMA_BUF_SYNC_END | static_cast<unsigned>(way), "unlock");
            break;
        }
    }
    /// Whether these two return at once, without a system call.
    [[nodiscard]] virtual bool accesses_at_once() const noexcept { return bracket_ == bracket::barrier; }

    /// Ranges of the memory, whether locked or not: writes back what the CPU changed in them if `clean`, and has it
    /// forget the rest of what it caches of them if `forget`. A device without anything finer does it to the whole
    /// memory; then what else the CPU changed is written back, not lost. Throws vcsm::error.
    virtual void maintain(const strided_range& which, bool clean, bool forget);

    /// Throw vcsm::not_supported, naming a device that has it, unless overridden.
    [[nodiscard]] virtual std::uint32_t videocore_handle() const;
    [[nodiscard]] virtual std::uint64_t bus_address() const;
    /// The dma-buf descriptor that this object itself holds; it stays this object's.
    [[nodiscard]] virtual int dmabuf();

    /// Whether a descriptor of that identity shows this memory.
    [[nodiscard]] virtual bool is(const file_identity& other) const noexcept;

    /// VideoCore's handle and all descriptors go at once; the mapping stays, for those who still look at it.
    virtual void release() noexcept = 0;
    /// For the child of a fork: closes inherited descriptors and forgets the rest without telling VideoCore, whose
    /// handles are the parent's. The mapping was not inherited.
    virtual void abandon() noexcept = 0;

  protected:
    /// What an access is bracketed with. The two that most memory needs are done in place: a lock of theirs takes
    /// hardly longer than its system call, and each function that the call had to return through would be seen.
    enum class bracket : unsigned char {
        own,     ///< begin_own_access() and end_own_access()
        barrier, ///< coherent memory; a barrier orders the accesses
        sync     ///< DMA_BUF_IOCTL_SYNC, on a descriptor of memory that the CPU caches
    };
    void bracket_by(bracket what, int descriptor = -1) noexcept {
        bracket_ = what;
        synced_ = descriptor;
    }
    virtual void begin_own_access(direction) {}
    virtual void end_own_access(direction) {}
    /// Throws vcsm::error about such a synchronisation that the kernel refused.
    [[noreturn]] virtual void sync_failed(int errno_value, const char* operation) const;

    [[noreturn]] void throw_not_supported(const char* operation, const char* remedy) const;

    /// For map().
    void mapped_at(std::byte* data) noexcept { data_ = data; }

  private:
    void sync(std::uint64_t flags, const char* operation) {
        dma_buf_sync call{flags};
        if (kernel::retried([&] { return kernel::system().ioctl(synced_, kernel::dma_buf::sync, &call); }) == -1) {
            sync_failed(errno, operation);
        }
    }

    std::byte* data_;
    std::size_t capacity_;
    cache_mode granted_;
    bracket bracket_ = bracket::own;
    int synced_ = -1;
};

/// One kernel interface, open. Safe to call from several threads at once.
class device {
  public:
    device() = default;
    device(const device&) = delete;
    device& operator=(const device&) = delete;
    virtual ~device() = default;

    /// "vcsm-cma", "dma-heap:linux,cma", …: what `use()` and VCSM_DEVICE take.
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    [[nodiscard]] virtual capabilities gives() const noexcept = 0;
    /// The largest block that the interface can express, in bytes; there may be less room.
    [[nodiscard]] virtual std::size_t max_bytes() const noexcept = 0;

    /// Memory that is zero. Throws vcsm::error (out_of_memory says what is free); then nothing is left behind.
    [[nodiscard]] virtual std::unique_ptr<memory> allocate(const request& wanted) = 0;
    /// Memory that a dma-buf descriptor stands for; the descriptor stays the caller's (the device duplicates it).
    /// The core has made sure that it is none of this process's own blocks. Throws vcsm::error; not_supported unless
    /// overridden.
    [[nodiscard]] virtual std::unique_ptr<memory> import_dmabuf(int descriptor, const std::string& name);

    /// The answer to a fault-injecting or real "resize" of `held`, made before the core moves the content to a new
    /// allocation: throws to refuse. Does nothing unless overridden.
    virtual void before_resize(memory& held, std::size_t bytes);

    /// The service stops: the device's own descriptor is closed, even if objects of stopped blocks still hold the
    /// device. Memory that is not released yet can still be; allocating fails (EBADF).
    virtual void close() noexcept {}
    /// For the child of a fork: closes the inherited descriptor.
    virtual void abandon() noexcept = 0;
};

} // namespace vcsm::device
