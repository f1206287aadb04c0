// The service: the process's open device, its blocks, and what becomes of both when it stops, exits or forks.
//
// Everything that makes or frees blocks goes through here, from every language: the public classes of C++, libvcsm.so
// and the Python extension are thin over it.
#pragma once

#include "device/device.hpp"
#include "registry.hpp"

#include <vcsm/service.hpp>
#include <vcsm/shared_memory.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace vcsm::detail {

class VCSM_API service {
  public:
    /// The one of this process. Never destroyed, for objects may outlive main().
    [[nodiscard]] static service& instance();

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
                                                      const block_options& options);
    /// See vcsm::shared_memory::from_dmabuf().
    [[nodiscard]] std::shared_ptr<reference> import_dmabuf(int descriptor, std::string_view name, std::size_t size);
    /// A second handle to the same block. Throws vcsm::no_block.
    [[nodiscard]] std::shared_ptr<reference> share(const reference& of);
    /// See vcsm::shared_memory::resize().
    void resize(const reference& of, std::size_t size);
    /// Frees a handle, and with its last handle the block; false where the handle is none.
    bool free(std::uint32_t handle) noexcept;

    /// An allocation that is no block of its own: what a pool carves its blocks from. Throws as allocate().
    [[nodiscard]] std::shared_ptr<allocation> allocate_memory(std::size_t size, std::string_view name,
                                                              const block_options& options);

    [[nodiscard]] detail::registry& handles() noexcept { return registry_; }
    /// The open device, or nothing.
    [[nodiscard]] std::shared_ptr<device::device> open_device() const;

  private:
    service();

    /// Calls `make(device)` with the device open and kept so until it returns: nobody stops, forks or switches
    /// meanwhile.
    template <class Make>
    auto with_device(Make&& make);
    [[nodiscard]] std::shared_ptr<allocation> make_allocation(const std::shared_ptr<device::device>& from,
                                                              std::size_t size, std::string_view name,
                                                              const block_options& options, const char* operation);
    [[nodiscard]] std::shared_ptr<reference> own_block_of(int descriptor);
    void start_locked();
    void stop_locked() noexcept;

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
    registry registry_;
};

} // namespace vcsm::detail
