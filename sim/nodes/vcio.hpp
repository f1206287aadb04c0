// Memory that the firmware's mailbox gives, which a program maps through /dev/mem.
#pragma once

#include "simulation.hpp"

#include <map>
#include <memory>

namespace vcsm::sim {

class mailbox_memory {
  public:
    /// Throws std::system_error.
    explicit mailbox_memory(simulation& all);

    /// A descriptor of the board's physical memory, of which only the mailbox's blocks hold anything.
    [[nodiscard]] kernel::unique_fd open_physical(int flags) const;

    /// A handle, or 0.
    [[nodiscard]] std::uint32_t allocate(const request& by, std::uint32_t bytes, std::uint32_t alignment);
    /// A bus address, or 0.
    [[nodiscard]] std::uint32_t lock(std::uint32_t handle) const;
    [[nodiscard]] bool unlock(std::uint32_t handle) const;
    [[nodiscard]] bool release(std::uint32_t handle);

    [[nodiscard]] bool owns(std::uint32_t handle) const noexcept { return allocations_.count(handle) != 0; }

    /// Nothing is freed when a process ends; what it did not release is a leak.
    void process_ends(pid_t process);
    void finish();

  private:
    struct allocation {
        std::shared_ptr<videocore::block> memory;
        pid_t process;
        std::string process_name;
        bool reported = false;
    };
    void report(allocation& each);

    simulation& all_;
    kernel::unique_fd physical_;
    std::map<std::uint32_t, allocation> allocations_;
};

} // namespace vcsm::sim
