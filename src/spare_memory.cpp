#include "spare_memory.hpp"

#include <new>
#include <utility>

namespace vcsm::detail {

bool spare_memory::keep(std::unique_ptr<device::memory>& freed, const spare_kind& kind) noexcept {
    if (kind.bytes > most_bytes) {
        return false;
    }
    spares too_old; // released when the mutex is not held any more
    const std::lock_guard alone{mutex_};
    try {
        all_.push_front({kind, nullptr});
        try {
            by_kind_[kind].push_back(all_.begin());
        } catch (const std::bad_alloc&) {
            if (const auto made = by_kind_.find(kind); made != by_kind_.end() && made->second.empty()) {
                by_kind_.erase(made);
            }
            all_.pop_front();
            return false;
        }
    } catch (const std::bad_alloc&) {
        return false;
    }
    all_.front().memory = std::move(freed);
    bytes_ += kind.bytes;
    while (bytes_ > most_bytes) {
        const auto oldest = std::prev(all_.end());
        const auto place = by_kind_.find(oldest->kind);
        place->second.pop_front();
        if (place->second.empty()) {
            by_kind_.erase(place);
        }
        bytes_ -= oldest->kind.bytes;
        too_old.splice(too_old.begin(), all_, oldest);
    }
    return true;
}

std::unique_ptr<device::memory> spare_memory::take(const spare_kind& kind) noexcept {
    const std::lock_guard alone{mutex_};
    const auto found = by_kind_.find(kind);
    if (found == by_kind_.end()) {
        return nullptr;
    }
    const auto newest = found->second.back();
    found->second.pop_back();
    if (found->second.empty()) {
        by_kind_.erase(found);
    }
    bytes_ -= kind.bytes;
    std::unique_ptr<device::memory> taken = std::move(newest->memory);
    all_.erase(newest);
    return taken;
}

std::size_t spare_memory::release_all() noexcept {
    spares ended; // released when the mutex is not held any more
    const std::lock_guard alone{mutex_};
    ended.swap(all_);
    by_kind_.clear();
    return std::exchange(bytes_, 0);
}

void spare_memory::abandon() noexcept {
    for (const spare& each : all_) {
        each.memory->abandon();
    }
    all_.clear();
    by_kind_.clear();
    bytes_ = 0;
}

} // namespace vcsm::detail
