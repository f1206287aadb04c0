// The service: the process's open device, its blocks, and what becomes of both when it stops, exits or forks.
//
// Everything that makes or frees blocks goes through here, from every language: the public classes of C++, libvcsm.so
// and the Python extension are thin over it.
#pragma once

#include "device/device.hpp"
#include "registry.hpp"

#include <vcsm/service.hpp>
#include <vcsm/shared_memory.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vcsm::detail {

/// What making a block does where the service does not run: starts it, or throws vcsm::error (ENODEV).
enum class starting : unsigned char { if_needed, never };

/// What becomes of memory that is freed: the driver gets it, or the next block of the same kind (see spare_memory).
enum class freeing : unsigned char { to_driver, to_next };

/// Something that has allocations which are no blocks of their own: a pool. The service tells it when they end.
class memory_owner {
  public:
    memory_owner(const memory_owner&) = delete;
    memory_owner& operator=(const memory_owner&) = delete;
    virtual ~memory_owner() = default;

    /// Takes a new allocation. Nobody stops the service, forks or switches devices meanwhile. May throw; then the
    /// allocation is released.
    virtual void adopt(const std::shared_ptr<allocation>& made) = 0;
    /// The service stops: releases all its allocations.
    virtual void stop(fate why) noexcept = 0;
    /// In the child of a fork: abandons all its allocations. Touches no mutex.
    virtual void abandon() noexcept = 0;
    /// A block of the whole allocation that a descriptor of that identity shows, or nothing.
    [[nodiscard]] virtual std::shared_ptr<block> block_showing(const device::file_identity& identity) = 0;

  protected:
    memory_owner() = default;
};

class VCSM_API service {
  public:
    /// The one of this process. Never destroyed, for objects may outlive main(). The first call throws vcsm::error
    /// (ENOMEM) or std::bad_alloc where there is no memory for it; the next tries again.
    [[nodiscard]] static service& instance() {
        service* const own = if_there();
        return own != nullptr ? *own : make_instance();
    }
    /// The same, or nothing where nobody has asked for it yet.
    [[nodiscard]] static service* if_there() noexcept { return the_one.load(std::memory_order_acquire); }

    /// Opens the device unless one is open. Throws vcsm::error.
    void start();
    /// See vcsm::stop_service().
    void stop() noexcept;
    [[nodiscard]] bool running() const noexcept;
    /// See vcsm::use().
    void use(std::string_view device);

    /// Starts the service and counts one holder; gives the number of this run of it, from 1.
    [[nodiscard]] std::uint64_t hold();
    /// Counts one holder less of that run, and stops the service with the last. Nothing if that run has ended.
    void let_go(std::uint64_t run) noexcept;

    /// A new block. Throws what the constructor of vcsm::shared_memory throws.
    [[nodiscard]] std::shared_ptr<reference> allocate(std::size_t size, std::string_view name,
                                                      const block_options& options, starting how = starting::if_needed,
                                                      freeing later = freeing::to_driver);
    /// See vcsm::shared_memory::from_dmabuf().
    [[nodiscard]] std::shared_ptr<reference> import_dmabuf(int descriptor, std::string_view name, std::size_t size,
                                                           starting how = starting::if_needed);
    /// A second handle to the same block. Throws vcsm::no_block.
    [[nodiscard]] std::shared_ptr<reference> share(const reference& of);
    /// See vcsm::shared_memory::resize().
    void resize(const reference& of, std::size_t size);
    /// Frees a handle, and with its last handle the block; false where the handle is none.
    bool free(std::uint32_t handle) noexcept;

    /// What faces without objects need, C's: holds and locks that nothing carries. All throw vcsm::error, and
    /// std::invalid_argument for a handle that is none.
    ///
    /// Holds the service, which is started on `descriptor`, an open device to duplicate, unless that is -1.
    /// `with_export` wants a device that gives dma-bufs (ENOTSUP).
    void hold_bare(bool with_export, int descriptor);
    /// Lets go of one such hold; false where there is none.
    bool let_go_bare() noexcept;
    /// Locks for reading and writing; the address of the block's first byte.
    [[nodiscard, gnu::always_inline]] std::byte* lock(std::uint32_t handle) {
        std::byte* locked = nullptr;
        const bool known = registry_.with_memory(handle, [&](reference& which, allocation& memory) {
            locked = which.shared()->map_locked(memory);
            memory.begin_locked(access_kind::write);
            ++which.bare_locks;
        });
        if (!known) {
            throw_no_handle(handle);
        }
        return locked;
    }
    /// Ends such a lock, with a clean of the CPU's cache or without. EPERM where the handle has none.
    [[gnu::always_inline]] void unlock(std::uint32_t handle, bool clean = true) {
        const unlocking result = end_bare_lock(handle, clean);
        if (result != unlocking::done) {
            throw_not_ended(result, handle);
        }
    }
    /// The same for the block that has that address in it, through whichever of its handles it is locked.
    [[gnu::always_inline]] void unlock_at(const void* address, bool clean = true) {
        const std::uint32_t handle = registry_.handle_at(address);
        const unlocking result = end_bare_lock(handle, clean);
        if (result != unlocking::done) {
            unlock_another_of(result, handle, clean);
        }
    }
    /// Another cache mode, by another allocation with the same content. A block that is locked, or of which VideoCore's
    /// handle, bus address or descriptor was given out, keeps its own, and so it does where no other is to be had.
    /// Gives the mode that it has then.
    cache_mode change_cache(std::uint32_t handle, cache_mode wanted);
    /// The mode of a block now.
    [[nodiscard]] cache_mode granted_cache(std::uint32_t handle) const;
    /// What VideoCore knows a block by, or the kernel: each is marked as given to the program. As the members of the
    /// same names of vcsm::shared_memory.
    [[nodiscard]] std::uint32_t videocore_handle(std::uint32_t handle);
    [[nodiscard]] std::uint64_t bus_address(std::uint32_t handle);
    [[nodiscard]] int export_dmabuf(std::uint32_t handle);
    /// A range of a block by the CPU's address of its first byte. Throws std::invalid_argument where it is not in it.
    [[nodiscard]] device::strided_range range_in(std::uint32_t handle, std::uintptr_t first, std::size_t bytes,
                                                 std::size_t count = 1, std::size_t stride = 0) const;
    /// See device::memory::maintain().
    void maintain(std::uint32_t handle, const device::strided_range& which, bool clean, bool forget);
    /// The CPU's address of a block, locked or not; nullptr where the handle is none.
    [[nodiscard]] std::byte* address(std::uint32_t handle);
    /// Has the block mapped, and its pages ready where the system gives them at the first touch otherwise.
    void populate(std::uint32_t handle);
    [[noreturn]] static void throw_no_handle(std::uint32_t handle);

    /// Gives the reference of a pool's block, which has none yet, its handle. Throws vcsm::no_block.
    std::uint32_t name(const std::shared_ptr<reference>& unnamed);
    /// From now on until leave(), the service tells `owner` what happens.
    void enter(memory_owner& owner);
    /// How many there are.
    [[nodiscard]] std::size_t owners() const;
    /// Calls `last()`, in which `owner` releases what it has, and forgets it.
    void leave(const memory_owner& owner, const std::function<void()>& last) noexcept;
    /// Has `owner` adopt a new allocation. Throws as allocate().
    void allocate_memory(memory_owner& owner, std::size_t size, std::string_view name, const block_options& options);
    /// Calls `work()` while nobody stops the service, forks or switches devices.
    template <class Work>
    auto undisturbed(Work&& work) {
        const std::shared_lock guard{operations_};
        return work();
    }

    [[nodiscard]] detail::registry& handles() noexcept { return registry_; }
    /// The open device, or nothing.
    [[nodiscard]] std::shared_ptr<device::device> open_device() const;

  private:
    enum class unlocking : unsigned char { done, was_not_locked, no_handle };

    service();
    [[nodiscard]] static service& make_instance();

    [[gnu::always_inline]] unlocking end_bare_lock(std::uint32_t handle, bool clean) {
        unlocking result = unlocking::no_handle;
        registry_.with_memory(handle, [&](reference& which, allocation& memory) {
            if (which.bare_locks == 0) {
                result = unlocking::was_not_locked;
                return;
            }
            result = unlocking::done;
            --which.bare_locks;
            memory.end_locked(access_kind::write, clean);
        });
        return result;
    }
    [[noreturn]] static void throw_not_ended(unlocking result, std::uint32_t handle);
    /// Ends a lock of another handle to the block of `handle`, which had none.
    void unlock_another_of(unlocking result, std::uint32_t handle, bool clean);

    /// Calls `make(device)` with the device open and kept so until it returns: nobody stops, forks or switches
    /// meanwhile.
    template <class Make>
    auto with_device(Make&& make, starting how = starting::if_needed);
    [[nodiscard]] std::shared_ptr<allocation> make_allocation(const std::shared_ptr<device::device>& from,
                                                              std::size_t size, std::string_view name,
                                                              const block_options& options, const char* operation,
                                                              freeing later = freeing::to_driver);
    [[nodiscard]] std::unique_ptr<device::memory> allocate_on(device::device& from, const device::request& wanted);
    [[nodiscard]] std::shared_ptr<allocation> make_recycled(const std::shared_ptr<device::device>& from,
                                                            const spare_kind& kind, std::string_view name);
    /// Throws std::length_error where the block has fewer than `size` bytes. `looked_at` is to be let go of when
    /// operations_ is held no more.
    [[nodiscard]] std::shared_ptr<reference> own_block_of(int descriptor, std::size_t size,
                                                          std::vector<std::shared_ptr<reference>>& looked_at);
    void start_locked();
    /// What is left of the blocks goes with the list, which must be when operations_ is not held any more.
    std::vector<std::shared_ptr<reference>> stop_locked() noexcept;
    [[nodiscard]] std::shared_ptr<reference> share_locked(const reference& of);
    void run_on(std::shared_ptr<device::device> opened);
    [[nodiscard]] std::vector<std::shared_ptr<reference>> let_go_locked() noexcept;
    template <class Ask>
    auto hand_out(std::uint32_t handle, const char* operation, Ask&& ask);
    void move(block& which, std::shared_ptr<allocation> another, std::size_t size, bool handed_out_too,
              const std::function<void(device::memory&)>& check);

    // Not inline: in a library that exports nothing of ours that would be another one.
    static std::atomic<service*> the_one;

    static void before_fork();
    static void after_fork_in_parent();
    static void after_fork_in_child();

    // Held shared by what makes and frees blocks, alone by what starts, stops, switches and forks: so that none of
    // these meets a half-made block.
    mutable std::shared_mutex operations_;
    std::shared_ptr<device::device> device_;
    std::string preferred_; // what use() said
    std::uint64_t run_ = 0;
    std::uint64_t holders_ = 0;
    std::uint64_t bare_holders_ = 0; // those of them that no object carries
    registry registry_;
    spare_memory spares_;             // of device_
    mutable std::mutex owners_mutex_; // of the next; taken with operations_ held
    std::vector<memory_owner*> owners_;
};

} // namespace vcsm::detail
