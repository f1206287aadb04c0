/// \file
/// All of vcsm: memory that a CPU and a Raspberry Pi's VideoCore share.
#pragma once

#include <vcsm/doctor.hpp>          // IWYU pragma: export
#include <vcsm/error.hpp>           // IWYU pragma: export
#include <vcsm/lock.hpp>            // IWYU pragma: export
#include <vcsm/memory_resource.hpp> // IWYU pragma: export
#include <vcsm/pool.hpp>            // IWYU pragma: export
#include <vcsm/processes.hpp>       // IWYU pragma: export
#include <vcsm/ring.hpp>            // IWYU pragma: export
#include <vcsm/service.hpp>         // IWYU pragma: export
#include <vcsm/shared_memory.hpp>   // IWYU pragma: export
#include <vcsm/socket.hpp>          // IWYU pragma: export
#include <vcsm/strided.hpp>         // IWYU pragma: export
#include <vcsm/types.hpp>           // IWYU pragma: export
#include <vcsm/videocore.hpp>       // IWYU pragma: export

namespace vcsm {

/// The library's version, such as "0.1.0".
[[nodiscard]] VCSM_API std::string_view version() noexcept;

} // namespace vcsm
