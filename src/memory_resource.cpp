#include <vcsm/memory_resource.hpp>

#include "pool_state.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

namespace vcsm {

struct memory_resource::allocations {
    struct given {
        shared_memory block;
        lock<std::byte> locked; // gone before the block
    };

    /// What `address` lies in. Throws std::invalid_argument. The mutex is held.
    [[nodiscard]] const std::pair<const std::uintptr_t, given>& at(const void* address) const {
        const auto wanted = reinterpret_cast<std::uintptr_t>(address);
        const auto above = blocks.upper_bound(wanted);
        if (above == blocks.begin() || wanted - std::prev(above)->first >= std::prev(above)->second.locked.size()) {
            throw std::invalid_argument{"the address is in nothing that this memory resource gave"};
        }
        return *std::prev(above);
    }

    mutable std::mutex mutex;
    std::map<std::uintptr_t, given> blocks; // by address
};

memory_resource::memory_resource(pool& from)
    : pool_{from.state().shared_from_this()}, given_{std::make_unique<allocations>()} {}

memory_resource::~memory_resource() = default;

void* memory_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
    // Containers may ask for nothing, and must get an address of their own.
    shared_memory block = pool_->allocate(bytes == 0 ? 1 : bytes, alignment);
    auto locked = block.lock(access::write);
    void* const address = locked.data();
    const std::lock_guard guard{given_->mutex};
    given_->blocks.emplace(reinterpret_cast<std::uintptr_t>(address),
                           allocations::given{std::move(block), std::move(locked)});
    return address;
}

void memory_resource::do_deallocate(void* address, std::size_t, std::size_t) {
    decltype(given_->blocks)::node_type taken; // goes without the mutex
    {
        const std::lock_guard guard{given_->mutex};
        taken = given_->blocks.extract(reinterpret_cast<std::uintptr_t>(address));
    }
    if (taken.empty()) {
        throw std::invalid_argument{"cannot deallocate what this memory resource did not give, or has taken back"};
    }
    taken.mapped().locked = {}; // so that the pool can have the block at once
}

bool memory_resource::do_is_equal(const std::pmr::memory_resource& other) const noexcept {
    return this == &other; // each knows what it gave itself
}

void memory_resource::sync() {
    const std::lock_guard guard{given_->mutex};
    // All, and then all again: the locks of one allocation count, and only the last end of them ends its access.
    for (auto& [address, each] : given_->blocks) {
        each.locked.unlock();
    }
    for (auto& [address, each] : given_->blocks) {
        each.locked = each.block.lock(access::write);
    }
}

location memory_resource::location(const void* address) const {
    const std::lock_guard guard{given_->mutex};
    const auto& [first, found] = given_->at(address);
    vcsm::location where = found.block.location();
    where.offset += reinterpret_cast<std::uintptr_t>(address) - first;
    return where;
}

std::uint64_t memory_resource::bus_address(const void* address) const {
    const std::lock_guard guard{given_->mutex};
    const auto& [first, found] = given_->at(address);
    return found.block.bus_address() + (reinterpret_cast<std::uintptr_t>(address) - first);
}

} // namespace vcsm
