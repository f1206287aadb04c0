// VideoCore's side of the simulated device: for tests of programs that give data to VideoCore.
//
// Each process has its own simulated VideoCore; under vcsm-sim, all its programs share one, and these functions reach
// that. On a real Raspberry Pi they throw vcsm::not_supported: no program can ask the real VideoCore this.
#pragma once

#include <vcsm/types.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vcsm::videocore {

/// One block as VideoCore sees it.
struct block_state {
    std::uint32_t videocore_handle = 0;  ///< what VideoCore knows it by
    std::string name;                    ///< as the program gave it
    std::size_t bytes = 0;               ///< as asked for
    std::size_t capacity = 0;            ///< as taken from the memory: whole pages
    std::uint64_t bus_address = 0;       ///< of its first byte
    cache_mode cache = cache_mode::none; ///< who caches it
    unsigned locks = 0;                  ///< how often the program has it locked now
    unsigned held = 0;                   ///< VideoCore's own references
    bool allocated = false;              ///< the program has not freed it
};

/// Copies what VideoCore sees, from `offset` bytes into the block on. Throws vcsm::error: ENOENT for a handle that
/// VideoCore does not know, EINVAL for bytes beyond the block's capacity.
VCSM_API void read(std::uint32_t videocore_handle, std::size_t offset, std::span<std::byte> into);
/// Writes as VideoCore would; the CPU sees it after the next lock (of a host-cached block) or at once (of others).
VCSM_API void write(std::uint32_t videocore_handle, std::size_t offset, std::span<const std::byte> from);

/// VideoCore takes a reference of its own: the block stays alive when the program frees it. Calls count.
VCSM_API void hold(std::uint32_t videocore_handle);
/// Gives one such reference back. Throws vcsm::error (EINVAL) where VideoCore has none.
VCSM_API void release(std::uint32_t videocore_handle);

/// All blocks that VideoCore knows, by VideoCore handle: also those that the program freed and VideoCore holds.
[[nodiscard]] VCSM_API std::vector<block_state> list();

/// Forgets this process's simulated VideoCore: the next block is made in a new one, made as VCSM_SIM_MEMORY and
/// VCSM_SIM_FAULTS say then. Stops the service first, so all blocks of this process are freed.
VCSM_API void reset();

} // namespace vcsm::videocore
