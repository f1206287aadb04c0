// A pool, as the Python class sees it.
#pragma once

#include "block.hpp"

#include <vcsm/pool.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace vcsm::python {

/// A vcsm::pool that several Python threads may use while another closes it. What allocates gives up the GIL, for it
/// may have to ask the device.
class pool {
  public:
    pool(std::size_t size, std::string name, const std::string& cache, std::size_t alignment, std::size_t grow_by,
         std::optional<std::size_t> limit, std::optional<std::size_t> keep, bool whole_blocks, bool zero);
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;
    ~pool();

    [[nodiscard]] std::unique_ptr<block> allocate(std::size_t size, std::size_t alignment) const;
    std::size_t trim() const;
    /// As a tuple, in the order of vcsm::pool_statistics.
    [[nodiscard]] nb::tuple statistics() const;

    /// The blocks live on, and the memory with them.
    void close() noexcept;
    [[nodiscard]] bool closed() const noexcept { return pool_ == nullptr || !*pool_; }
    /// Also of a closed pool.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

  private:
    /// Throws vcsm::no_block where it was closed.
    [[nodiscard]] std::shared_ptr<vcsm::pool> open() const;

    std::string name_;
    std::shared_ptr<vcsm::pool> pool_;
};

void define_pool(nb::module_& module);

} // namespace vcsm::python
