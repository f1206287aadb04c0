#include "block.hpp"

#include <new>

namespace vcsm::detail {

block::block(std::shared_ptr<allocation> memory, std::size_t offset, std::size_t size, std::string name)
    : memory_{std::move(memory)}, offset_{offset}, size_{size}, name_{std::move(name)} {}

std::shared_ptr<allocation> block::bare_memory() const {
    const std::lock_guard guard{mutex_};
    return memory_;
}

std::shared_ptr<allocation> block::memory() const {
    return kept(bare_memory());
}

void block::put(std::shared_ptr<allocation> memory, std::size_t offset, std::size_t size) noexcept {
    const std::lock_guard guard{mutex_};
    memory_ = std::move(memory);
    offset_ = offset;
    size_ = size;
}

std::size_t block::size() const {
    const std::lock_guard guard{mutex_};
    return size_;
}

place block::place() const {
    std::unique_lock guard{mutex_};
    const std::span<std::byte> bytes{memory_->data() + offset_, size_};
    std::shared_ptr<allocation> now = memory_;
    guard.unlock();
    return {kept(std::move(now)), bytes};
}

void block::give_up(fate why) noexcept {
    const std::shared_ptr<allocation> old = bare_memory();
    try {
        auto left = std::make_shared<allocation>(*old, why);
        // Others may have found it by its handle before that was removed, and look at it while they hold this mutex.
        const std::lock_guard alone{old->mutex()};
        const std::lock_guard guard{mutex_};
        memory_ = std::move(left);
    } catch (const std::bad_alloc&) { // then it stays mapped until the block's last object is gone
    }
    old->release(why);
}

void block::put_in(std::shared_ptr<allocation>& another, std::size_t size) noexcept {
    const std::lock_guard guard{mutex_};
    memory_.swap(another);
    offset_ = 0;
    size_ = size;
    handed_out = false; // nobody has been told of the new one
}

} // namespace vcsm::detail
