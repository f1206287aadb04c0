#include "block.hpp"

#include "registry.hpp"

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

place block::place() {
    for (;;) {
        std::unique_lock guard{mutex_};
        std::shared_ptr<allocation> now = memory_;
        const std::size_t offset = offset_;
        const std::size_t size = size_;
        guard.unlock();
        std::byte* first = now->mapped();
        if (first == nullptr) {
            try {
                first = now->map([&](std::byte* address) { show(*now, address); });
            } catch (const no_block&) {
                if (bare_memory() == now) {
                    throw; // it is gone, and was not only moved
                }
                continue;
            }
        }
        return {kept(std::move(now)), {first + offset, size}};
    }
}

std::byte* block::map_now(allocation& lies_in) {
    return lies_in.map_locked([&](std::byte* address) { show(lies_in, address); });
}

void block::show(const allocation& lies_in, std::byte* address) {
    if (listed_in_ != nullptr) {
        listed_in_->show_mapped(*this, lies_in, address);
    }
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
