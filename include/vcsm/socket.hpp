// Passing a block to another process over a Unix socket.
#pragma once

#include <vcsm/shared_memory.hpp>

namespace vcsm {

/// Sends a block, with its name and size, over a connected Unix socket of any type, to a process that calls
/// receive_block(). Both then have it, and what one writes between locks the other reads; who writes when is theirs to
/// agree on. The block stays the sender's too, and the memory lives until both have freed it. Waits while the socket is
/// full, also where it is non-blocking.
/// Throws vcsm::not_supported where the block has no dma-buf, vcsm::no_block, vcsm::error where the socket refuses.
///
///     vcsm::send_block(socket, frame);                             // here
///     vcsm::shared_memory frame = vcsm::receive_block(socket);     // there
VCSM_API void send_block(int socket, const shared_memory& block);

/// Receives what send_block() sent. Waits for it. The block is on this process's own device, which must be able to
/// import it; it has a handle of its own here. Throws vcsm::error: EPIPE where the other end has closed, EPROTO for
/// what is no block (descriptors that came with it are closed), EMFILE where this process has no free descriptor, and
/// what shared_memory::from_dmabuf() throws.
[[nodiscard]] VCSM_API shared_memory receive_block(int socket);

} // namespace vcsm
