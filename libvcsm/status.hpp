// vcsm_status(): what is allocated and mapped, as text.
#pragma once

#include <interface/vcsm/user-vcsm.h>

namespace vcsm::c {

/// See vcsm_status(). Throws std::invalid_argument for a status that is none, vcsm::error (ESRCH) for a process that is
/// none or may not be looked at.
void print_status(VCSM_STATUS_T status, int pid);

} // namespace vcsm::c
