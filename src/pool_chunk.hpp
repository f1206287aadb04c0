// One of a pool's allocations.
#pragma once

#include "allocation.hpp"
#include "pool_ranges.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vcsm::detail {

struct pool_chunk {
    std::shared_ptr<allocation> memory;
    std::uint64_t base = 0;      ///< its bus address where it has one, else its address
    std::size_t bytes = 0;       ///< of it that blocks can have
    std::size_t used = 0;        ///< bytes that blocks have, or that threads keep at hand
    unsigned pins = 0;           ///< who needs it besides blocks: it is not given back to the driver
    pool_range* whole = nullptr; ///< all of it, while nothing is used
};

} // namespace vcsm::detail
