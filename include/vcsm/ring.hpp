// A fixed set of equal blocks that go round: for streams of frames to, or from, VideoCore.
#pragma once

#include <vcsm/shared_memory.hpp>
#include <vcsm/types.hpp>

#include <cstddef>
#include <memory>
#include <string_view>

namespace vcsm {

namespace detail {
class ring_state;
}

/// Blocks that are filled and emptied in turn. Each goes round: acquire() gives the producer the next free one,
/// submit() passes it on, receive() gives the consumer the oldest that was passed on, release() makes it free again.
///
///     vcsm::ring frames{4, frame_bytes, "frames"};
///
///     // producer                                        // consumer
///     while (vcsm::shared_memory* frame = frames.acquire()) {   while (vcsm::shared_memory* frame = frames.receive())
///     {
///         frame->copy_from(next_picture());                  show(frame->videocore_handle());
///         frames.submit();                                   frames.release();
///     }                                                  }
///
/// One producer and one consumer may be two threads, which then need no lock of their own and take none here; or the
/// same thread, where VideoCore is the consumer and release() says that it is done with the oldest frame. acquire() may
/// be called again before submit(), for several frames in work, up to all; so may receive() before release(). Blocks
/// are passed on, and become free, in the order in which they were given.
///
/// Each block is an allocation of the driver's own, so that its lock and its VideoCore handle are its alone. After the
/// service was stopped the blocks say so (vcsm::no_block). A ring must not be moved while a thread waits in it.
class VCSM_API ring {
  public:
    /// Throws std::invalid_argument for 0 blocks, std::length_error for 2^31 or more, and what the constructor of
    /// vcsm::shared_memory throws; then nothing is left behind.
    ring(std::size_t blocks, std::size_t bytes, std::string_view name = {}, block_options options = {});
    /// The other ring is empty afterwards, and may only be destroyed or assigned to.
    ring(ring&&) noexcept;
    /// The same; what this ring had is freed.
    ring& operator=(ring&&) noexcept;
    ~ring();

    /// How many blocks there are.
    [[nodiscard]] std::size_t size() const noexcept;
    /// Bytes of each.
    [[nodiscard]] std::size_t block_bytes() const noexcept;
    /// Blocks that are passed on and not released.
    [[nodiscard]] std::size_t in_use() const noexcept;

    /// The producer's side: the next free block, for which it waits; nullptr once the ring is closed.
    [[nodiscard]] shared_memory* acquire();
    /// The same; nullptr at once where none is free.
    [[nodiscard]] shared_memory* try_acquire() noexcept;
    /// Passes the oldest acquired block on. Throws std::logic_error where none is acquired.
    void submit();

    /// The consumer's side: the oldest block that was passed on, for which it waits; nullptr once the ring is closed
    /// and no more are to come.
    [[nodiscard]] shared_memory* receive();
    /// The same; nullptr at once where there is none.
    [[nodiscard]] shared_memory* try_receive() noexcept;
    /// Makes the oldest block free that was passed on: one that was received, or, for a consumer that is VideoCore and
    /// receives nothing, the oldest in use. Throws std::logic_error where there is none.
    void release();

    /// No more blocks are acquired: the producer gets nullptr at once, the consumer when it has got what was passed on.
    /// Either side may call it, or a third.
    void close() noexcept;

  private:
    std::unique_ptr<detail::ring_state> state_;
};

} // namespace vcsm
