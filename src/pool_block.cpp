#include "pool_block.hpp"

#include "pool_state.hpp"

#include <utility>

#include <unistd.h>

namespace vcsm::detail {

namespace {

// That class whose blocks have exactly the range's bytes.
unsigned class_of_range(const pool_range& range) noexcept {
    if (range.bytes > largest_class_bytes) {
        return 0;
    }
    const pool_class found = class_of(range.bytes);
    return found.bytes == range.bytes ? found.number : 0;
}

} // namespace

pool_block::pool_block(std::shared_ptr<pool_state> home, pool_chunk* chunk, pool_range* range, std::size_t size)
    : block{chunk->memory, range->offset, size, home->name()}, home_{std::move(home)}, chunk_{chunk}, range_{range},
      address_{chunk->base + range->offset}, size_class_{home_->options().whole_blocks ? 0 : class_of_range(*range)},
      // It does not own the block, whose member it is: whoever has it has the block.
      reference_{std::shared_ptr<block>{std::shared_ptr<void>{}, this}, ::getpid(), *chunk->memory} {}

pool_block::~pool_block() {
    home_->give_back(*this);
}

std::shared_ptr<allocation> pool_block::kept(std::shared_ptr<allocation> now) const {
    // Whoever has it has this block, so that nobody else gets its range.
    return {shared_from_this(), now.get()};
}

std::shared_ptr<reference> pool_block::unnamed() {
    return {shared_from_this(), &reference_};
}

void pool_block::move(pool_chunk& chunk, pool_range& range, std::size_t size) noexcept {
    chunk_ = &chunk;
    range_ = &range;
    address_ = chunk.base + range.offset;
    size_class_ = home_->options().whole_blocks ? 0 : class_of_range(range);
    reference_.lies_in(*chunk.memory);
    put(chunk.memory, range.offset, size);
}

bool pool_block::resize_itself(std::size_t size) {
    home_->resize(*this, size);
    return true;
}

void pool_block::take_back(std::shared_ptr<reference>&& ending) noexcept {
    home_->recycle(*this, std::move(ending));
}

} // namespace vcsm::detail
