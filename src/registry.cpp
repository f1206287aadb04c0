#include "registry.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include <unistd.h>

namespace vcsm::detail {

namespace {

constexpr std::size_t slots_at_first = 64;
constexpr std::uint32_t largest_handle = 0x7fffffff; // an int in every language

} // namespace

registry::registry() : slots_(slots_at_first) {}

std::size_t registry::home_of(std::uint32_t handle) const noexcept {
    // Fibonacci hashing: handles come in sequence, and long-lived ones must not crowd the way of those that wrap
    // around.
    constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
    const auto bits = static_cast<unsigned>(std::countr_zero(slots_.size()));
    return static_cast<std::size_t>((handle * golden) >> (64U - bits));
}

const registry::slot* registry::slot_of(std::uint32_t handle) const noexcept {
    if (handle == 0) {
        return nullptr;
    }
    for (std::size_t at = home_of(handle);; at = (at + 1) & (slots_.size() - 1)) {
        if (slots_[at].handle == handle) {
            return &slots_[at];
        }
        if (slots_[at].handle == 0) {
            return nullptr;
        }
    }
}

void registry::put(slot&& filled) noexcept {
    std::size_t at = home_of(filled.handle);
    while (slots_[at].handle != 0) {
        at = (at + 1) & (slots_.size() - 1);
    }
    slots_[at] = std::move(filled);
}

void registry::grow() {
    std::vector<slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (slot& filled : old) {
        if (filled.handle != 0) {
            put(std::move(filled));
        }
    }
}

std::shared_ptr<reference> registry::enter(std::shared_ptr<block> to) {
    const std::unique_lock guard{mutex_};
    if ((live_ + 1) * 2 > slots_.size()) {
        grow();
    }
    std::uint32_t next = last_;
    do {
        next = next == largest_handle ? 1 : next + 1;
    } while (slot_of(next) != nullptr);
    auto made = std::make_shared<reference>(next, std::move(to), ::getpid());
    last_ = next;
    ++made->shared()->handles;
    put({next, made});
    ++live_;
    return made;
}

std::shared_ptr<reference> registry::find(std::uint32_t handle) const {
    const std::shared_lock guard{mutex_};
    const slot* const found = slot_of(handle);
    return found == nullptr ? nullptr : found->to;
}

std::shared_ptr<reference> registry::remove(std::uint32_t handle, fate why, bool& last) noexcept {
    last = false;
    const std::unique_lock guard{mutex_};
    const slot* const found = slot_of(handle);
    if (found == nullptr) {
        return nullptr;
    }
    auto at = static_cast<std::size_t>(found - slots_.data());
    std::shared_ptr<reference> taken = std::move(slots_[at].to);
    slots_[at] = {};
    --live_;
    // Those behind that were pushed past the hole move up, so that no search ends too early.
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t next = (at + 1) & mask; slots_[next].handle != 0; next = (next + 1) & mask) {
        const std::size_t home = home_of(slots_[next].handle);
        if (((next - home) & mask) >= ((next - at) & mask)) {
            slots_[at] = std::move(slots_[next]);
            slots_[next] = {};
            at = next;
        }
    }
    (void)taken->end(why);
    last = --taken->shared()->handles == 0;
    return taken;
}

std::vector<std::shared_ptr<reference>> registry::remove_all(fate why) {
    const std::unique_lock guard{mutex_};
    std::vector<std::shared_ptr<reference>> taken;
    taken.reserve(live_);
    for (slot& filled : slots_) {
        if (filled.handle != 0) {
            (void)filled.to->end(why);
            filled.to->shared()->handles = 0;
            taken.push_back(std::move(filled.to));
            filled = {};
        }
    }
    live_ = 0;
    return taken;
}

std::vector<std::shared_ptr<reference>> registry::all() const {
    const std::shared_lock guard{mutex_};
    std::vector<std::shared_ptr<reference>> found;
    found.reserve(live_);
    for (const slot& filled : slots_) {
        if (filled.handle != 0) {
            found.push_back(filled.to);
        }
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a->handle() < b->handle(); });
    return found;
}

bool registry::empty() const noexcept {
    const std::shared_lock guard{mutex_};
    return live_ == 0;
}

void registry::forget_in_child() noexcept {
    // A lock of the C library remembers the thread that took it, which has another number here: it cannot be unlocked.
    new (&mutex_) std::shared_mutex;
    for (slot& filled : slots_) {
        if (filled.handle != 0) {
            (void)filled.to->end(fate::forked);
            filled.to->shared()->abandon();
            filled = {};
        }
    }
    live_ = 0;
}

} // namespace vcsm::detail
