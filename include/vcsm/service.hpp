// The service: the process's open device. Started by the first block, stopped at the process's exit.
#pragma once

#include <vcsm/types.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vcsm {

/// A way to get blocks that the library knows, and whether it can be used here and now.
struct device_info {
    std::string name;              ///< what use() and VCSM_DEVICE take
    std::string node;              ///< the path that it opens; empty for the simulated device
    bool usable = false;           ///< it could be opened
    std::string why;               ///< why not, or why it would not be chosen; empty otherwise
    bool chosen = false;           ///< it is what the service has open, or would open now
    bool videocore_handle = false; ///< its blocks have one
    bool bus_address = false;      ///< its blocks have one
    bool dmabuf = false;           ///< its blocks can be imported and exported as descriptors
    bool host_cache = false;       ///< the CPU can cache its blocks
    std::size_t max_bytes = 0;     ///< the largest block that its interface can express
};

/// One of this process's blocks. Where several handles share one, each is listed.
struct block_info {
    std::uint32_t handle = 0;                      ///< as shared_memory::handle() gives it
    std::string name;                              ///< whole
    std::string device;                            ///< the name of the device that it is on
    std::size_t size = 0;                          ///< bytes asked for
    std::size_t capacity = 0;                      ///< bytes that the kernel gave
    cache_mode cache = cache_mode::none;           ///< as granted
    unsigned locks = 0;                            ///< how many are held now
    std::optional<std::uint32_t> videocore_handle; ///< none where VideoCore does not know the block
    std::optional<std::uint64_t> bus_address;      ///< none where VideoCore does not see the block
};

/// Every device that the library knows, in the order in which it would be chosen. Opens and closes each.
[[nodiscard]] VCSM_API std::vector<device_info> devices();
/// The blocks of this process that are not freed, by handle.
[[nodiscard]] VCSM_API std::vector<block_info> blocks();

/// Makes the service use this device from now on, instead of VCSM_DEVICE or the first that opens: "vcsm-cma", "vcsm",
/// "dma-heap[:HEAP]", "udmabuf", "mailbox", "v3d" or "simulated". Opens it. Throws std::invalid_argument, which lists
/// the known ones, for any other; vcsm::error where it cannot be opened, or (EBUSY) where blocks live on another
/// device.
VCSM_API void use(std::string_view device);

/// Starts the service if it is not running. The first block does so too. Throws vcsm::error where no device can be
/// used.
VCSM_API void start_service();
/// Stops the service, whoever holds it. Frees every block of this process: VideoCore's handles and the descriptors go
/// at once; memory that is locked stays mapped until its lock ends, and unlocking it then does nothing. Objects that
/// are left say so when used. Starting again works, any number of times. Does nothing where it is not running.
VCSM_API void stop_service() noexcept;
/// Whether it is running in this process.
[[nodiscard]] VCSM_API bool service_running() noexcept;

/// Holds the service: starts it if need be, and stops it with the last manager that lets go of it.
class VCSM_API service_manager {
  public:
    /// Throws vcsm::error where no device can be used.
    service_manager();
    /// Takes over what `other` holds.
    service_manager(service_manager&& other) noexcept;
    /// The same; what this object held is let go of first.
    service_manager& operator=(service_manager&& other) noexcept;
    ~service_manager();

    /// Lets go of the service before the end of the object's life; later calls do nothing.
    void exit() noexcept;
    /// Whether it still holds the service.
    [[nodiscard]] explicit operator bool() const noexcept { return held_ != 0; }

  private:
    std::uint64_t held_ = 0; // which run of the service, from 1; 0: none
};

} // namespace vcsm
