// /dev/vcsm, the driver of kernels up to 5.4, for 32-bit programs.
//
// All its blocks lie in one sparse memfd, and a handle is where: so a program's mmap of the device at a handle runs as
// it is, after its size was judged. Two things a program could see are beyond what can be done from outside: FREE
// leaves mappings where they are, and the child of a fork has its parent's.
#pragma once

#include "simulation.hpp"
#include "videocore/heap.hpp"

#include <map>
#include <memory>
#include <optional>

namespace vcsm::sim {

class legacy_device {
  public:
    /// Throws std::system_error.
    explicit legacy_device(simulation& all);
    /// Whether a descriptor of that file is of this device.
    [[nodiscard]] bool is(const file_key& file) const noexcept { return file == file_; }

    [[nodiscard]] answer open(const request& asked, int flags);
    /// The answers, or nothing where the descriptor is not of this device.
    [[nodiscard]] std::optional<answer> control(const request& asked, int descriptor, const struct stat& status);
    [[nodiscard]] std::optional<answer> map(const request& asked, int descriptor, const struct stat& status,
                                            std::uint64_t bytes, std::uint64_t offset);
    /// An open device is closed: frees all that it had.
    void closed(std::uint64_t id);
    void process_ends(pid_t process);
    [[nodiscard]] bool owns(std::uint32_t videocore_handle) const noexcept;

  private:
    struct allocation {
        std::shared_ptr<videocore::block> memory;
        std::string name;
        std::size_t reserved = 0; ///< bytes of the memfd that are kept for it, so that it can grow
        unsigned cached = 0;
        unsigned locks = 0;
        unsigned handles = 0; ///< how many opens have it, each as often as it was shared
    };
    struct holding {
        pid_t process = 0;
        unsigned count = 0;
    };
    struct opened {
        pid_t process = 0;
        std::string process_name;
        std::map<std::uint32_t, holding> handles;
        bool reported = false;
    };
    struct mapped {
        std::uint64_t start = 0;
        std::uint64_t end = 0;
        std::uint32_t offset = 0;
    };

    [[nodiscard]] answer dispatch(const request& asked, opened& device);
    [[nodiscard]] answer allocate(const request& asked, opened& device);
    [[nodiscard]] answer share(const request& asked, opened& device);
    [[nodiscard]] answer lock(const request& asked, opened& device, bool change_cache);
    [[nodiscard]] answer unlock(const request& asked, opened& device);
    [[nodiscard]] answer resize(const request& asked, opened& device);
    [[nodiscard]] answer free(const request& asked, opened& device);
    [[nodiscard]] answer flush_or_invalidate(const request& asked, opened& device, bool invalidates);
    [[nodiscard]] answer look_up(const request& asked, opened& device);
    [[nodiscard]] answer clean_invalid(const request& asked, opened& device);
    [[nodiscard]] answer clean_invalid2(const request& asked);

    /// 0 where this process may use that handle, which has an allocation then. Else an errno: `unknown` or EPERM.
    [[nodiscard]] int check(const request& asked, const opened& device, std::uint32_t handle, int unknown) const;
    /// The same of a call that faults can be ordered for.
    [[nodiscard]] int check(videocore::operation what, const request& asked, const opened& device, std::uint32_t handle,
                            int unknown) const;
    void drop(std::uint32_t handle) noexcept;
    [[nodiscard]] std::shared_ptr<videocore::block> make_memory(std::uint32_t handle, std::size_t bytes,
                                                                const std::string& name, unsigned cached);
    [[nodiscard]] std::vector<mapped> mappings_of(const request& asked) const;
    [[nodiscard]] std::uint32_t address_of(const request& asked, std::uint32_t handle) const;
    void maintain(std::uint32_t handle, std::size_t from, std::size_t bytes, bool cleans, bool invalidates);
    void maintain_at(const request& asked, std::uint32_t address, std::size_t bytes, bool cleans, bool invalidates);

    simulation& all_;
    kernel::unique_fd memfd_;
    file_key file_;
    videocore::heap handles_;
    std::map<std::uint32_t, allocation> allocations_;
    std::map<std::uint64_t, opened> opens_;
};

} // namespace vcsm::sim
