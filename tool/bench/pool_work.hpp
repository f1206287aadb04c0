// The rows of `vcsm bench` that are about pools. `checked`: it has a wanted ratio.
#pragma once

#include "measure.hpp"

#include <vcsm/pool.hpp>

#include <cstddef>
#include <memory>

namespace tool::bench {

[[nodiscard]] std::shared_ptr<vcsm::pool> new_pool(std::size_t bytes);

/// Allocating and freeing, beside the system calls by hand.
[[nodiscard]] comparison pool_against_calls(std::size_t bytes, bool checked);
/// The same with so many live blocks, beside an empty pool.
[[nodiscard]] comparison crowded_pool(std::size_t blocks, bool checked);
/// Blocks of many sizes where as many holes of many sizes are, beside an empty pool; for one block.
[[nodiscard]] comparison fragmented_pool(std::size_t blocks);
/// So many threads at once, beside one.
[[nodiscard]] comparison threads_in_pool(unsigned threads, bool checked);
/// Allocating, filling and freeing, beside memcpy.
[[nodiscard]] comparison filled_pool_block(std::size_t bytes, bool checked);

} // namespace tool::bench
