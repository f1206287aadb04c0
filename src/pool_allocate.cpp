// What users do with a pool: allocate, resize, ask.
#include "pool_state.hpp"

#include "copy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace vcsm::detail {

std::shared_ptr<reference> pool_state::allocate_block(std::size_t size, std::size_t alignment) {
    if (size == 0) {
        throw std::invalid_argument{"cannot allocate from pool \"" + name_ + "\": a block has at least 1 byte"};
    }
    if (!is_power_of_two(alignment)) {
        throw std::invalid_argument{"cannot allocate from pool \"" + name_ + "\": an alignment of " +
                                    std::to_string(alignment) + " bytes is no power of two"};
    }
    throw_unless_open();
    alignment = std::max(alignment, options_.alignment);
    std::shared_ptr<reference> made;
    if (size <= largest_class_bytes && (size <= largest_rounded_bytes || granted(size) == class_of(size).bytes)) {
        made = take_kept(size, alignment);
    }
    if (!made) {
        pool_range* const range = take_range(size, alignment);
        try {
            const auto fresh = std::make_shared<pool_block>(shared_from_this(), range->in, range, size);
            made = {fresh, &fresh->own_reference()};
        } catch (...) {
            return_range(range);
            throw;
        }
        count(1, static_cast<std::int64_t>(range->bytes));
    }
    if (options_.zero) {
        zero(*made);
    }
    return made;
}

void pool_state::zero(reference& fresh) {
    block& which = fresh.get();
    held_lock held{which.memory(), which.alone() ? access_kind::overwrite : access_kind::write};
    std::memset(which.place().bytes.data(), 0, which.capacity());
    held.unlock();
}

void pool_state::resize(pool_block& which, std::size_t size) {
    throw_unless_open();
    const std::size_t old_size = which.size();
    if (size == 0) {
        throw std::invalid_argument{"cannot resize block \"" + name_ + "\": a block has at least 1 byte"};
    }
    const std::shared_ptr<allocation> memory = which.bare_memory();
    if (size <= which.capacity()) {
        if (size > old_size) {
            held_lock held{memory, access_kind::write};
            std::memset(which.place().bytes.data() + old_size, 0, size - old_size);
            held.unlock();
        }
        service::instance().handles().replace(which, *memory, which.offset(), size, [&] { which.put(size); });
        return;
    }
    if (memory->locks() > 0) {
        failure about;
        about.operation = "resize";
        about.device = memory->from().name();
        about.block = name_;
        about.bytes = size;
        about.remedy = "its pool's memory is locked: end the locks first";
        throw error{EBUSY, std::move(about)};
    }
    pool_range* const range = take_range(size, options_.alignment);
    pool_chunk& into = *range->in;
    pool_range* const old = which.range_;
    try {
        held_lock from{memory, access_kind::read};
        held_lock to{into.memory, access_kind::write};
        std::byte* const target = into.memory->mapped() + range->offset;
        copy_bytes(target, which.place().bytes.data(), std::min(old_size, size));
        std::memset(target + old_size, 0, size - old_size);
        to.unlock();
        from.unlock();
        service::instance().handles().replace(which, *into.memory, range->offset, size,
                                              [&] { which.move(into, *range, size); });
    } catch (...) {
        return_range(range);
        throw;
    }
    count(0, static_cast<std::int64_t>(range->bytes) - static_cast<std::int64_t>(old->bytes));
    return_range(old);
}

std::size_t pool_state::trim() {
    throw_unless_open();
    drain();
    return release_empty(0);
}

pool_statistics pool_state::statistics() {
    throw_unless_open();
    drain();
    for (shard& each : shards_) {
        each.lock();
    }
    std::int64_t blocks = 0;
    std::int64_t used = used_.load(std::memory_order_relaxed);
    std::int64_t peak = 0;
    for (shard& each : shards_) {
        blocks += each.blocks;
        used += each.used;
        peak = std::max(peak, each.peak);
        each.unlock();
    }
    pool_statistics found;
    found.blocks = static_cast<std::size_t>(std::max(blocks, std::int64_t{0}));
    found.used = static_cast<std::size_t>(std::max(used, std::int64_t{0}));
    found.peak = static_cast<std::size_t>(std::max(peak, used));
    const std::lock_guard guard{mutex_};
    found.capacity = capacity_;
    found.free = capacity_ - std::min(found.used, capacity_);
    found.largest_free = ranges_.largest_free();
    found.allocations = chunks_.size();
    return found;
}

} // namespace vcsm::detail
