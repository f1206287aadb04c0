// A block of a pool.
#pragma once

#include "block.hpp"
#include "pool_chunk.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vcsm::detail {

class pool_state;

/// Has its range of the pool's memory until it is destroyed: with its user's object, or when the last lock of it ends
/// or the last further handle to it goes. One that only its user's object held is not destroyed but kept, with its
/// range and its reference, for the next user.
class pool_block final : public block {
  public:
    pool_block(std::shared_ptr<pool_state> home, pool_chunk* chunk, pool_range* range, std::size_t size);
    ~pool_block() override;

    [[nodiscard]] std::size_t capacity() const override { return range_->bytes; }
    [[nodiscard]] bool alone() const noexcept override { return range_->bytes == chunk_->bytes; }
    [[nodiscard]] bool resize_itself(std::size_t size) override;
    void take_back(std::shared_ptr<reference>&& ending) noexcept override;
    void give_up(fate) noexcept override {} // its range goes with the object
    [[nodiscard]] std::shared_ptr<reference> unnamed() override;

    /// Its only reference but for those that share it.
    [[nodiscard]] reference& own_reference() noexcept { return reference_; }

  protected:
    [[nodiscard]] std::shared_ptr<allocation> kept(std::shared_ptr<allocation> now) const override;

  private:
    friend class pool_state;

    void move(pool_chunk& chunk, pool_range& range, std::size_t size) noexcept;

    std::shared_ptr<pool_state> home_;
    pool_chunk* chunk_;
    pool_range* range_;
    std::uint64_t address_;           // of the kind that alignments are of
    unsigned size_class_;             // in which it can be kept for the next user; 0: in none
    bool live_ = true;                // it has a user
    pool_block* next_ = nullptr;      // kept, below this one
    std::shared_ptr<reference> self_; // while it is kept
    reference reference_;
};

} // namespace vcsm::detail
