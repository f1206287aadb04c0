#include "registry.hpp"

#include "forked_mutex.hpp"
#include "keep.hpp"
#include "kernel/syscalls.hpp"
#include "own_process.hpp"

#include <algorithm>

namespace vcsm::detail {

namespace {

constexpr std::size_t slots_at_first = 64;
constexpr std::uint32_t largest_handle = 0x7fffffff; // an int in every language

} // namespace

registry::change::change(registry& changed) : changed_{changed}, guard_{changed.mutex_} {
    changed_.version_.store(changed_.version_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

registry::change::~change() {
    changed_.version_.store(changed_.version_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

registry::registry() {
    tables_.push_back(std::make_unique<table>(slots_at_first));
    seen_.store(tables_.back().get(), std::memory_order_release);
}

std::byte* registry::address_of(std::uint32_t handle) const noexcept {
    return unchanged([&]() -> std::byte* {
        const table& in = *seen_.load(std::memory_order_acquire);
        const std::size_t at = place_in(in, handle);
        return at == in.size ? nullptr : in.slots[at].address.load(std::memory_order_acquire);
    });
}

std::uint32_t registry::known_videocore_handle(std::uint32_t handle) const noexcept {
    return unchanged([&]() -> std::uint32_t {
        const table& in = *seen_.load(std::memory_order_acquire);
        const std::size_t at = place_in(in, handle);
        return at == in.size ? 0 : in.slots[at].videocore_handle.load(std::memory_order_acquire);
    });
}

std::uint32_t registry::handle_at(const void* address) const noexcept {
    const std::uint32_t found = unchanged([&] { return addresses_.find(address); });
    if (found != 0 || !addresses_.has_small()) {
        return found;
    }
    const std::shared_lock guard{mutex_};
    return addresses_.find_small(address);
}

void registry::remember_videocore_handle(std::uint32_t handle, std::uint32_t videocore_handle) noexcept {
    const change guard{*this};
    table& in = current();
    if (const std::size_t at = place_in(in, handle); at != in.size) {
        in.slots[at].videocore_handle.store(videocore_handle, std::memory_order_release);
    }
}

void registry::show_address(slot& at, const block& which, std::byte* address) noexcept {
    at.address.store(address == nullptr ? nullptr : address + which.offset(), std::memory_order_release);
}

void registry::show(slot& at, const reference& shown) {
    const block& which = *shown.block_;
    const allocation* const memory = which.locked_memory();
    at.mutex.store(memory == nullptr ? nullptr : &memory->mutex(), std::memory_order_release);
    show_address(at, which, known_address(which));
    at.videocore_handle.store(0, std::memory_order_release);
}

void registry::move_slot(table& from, std::size_t from_at, table& to, std::size_t to_at) noexcept {
    const auto copy = [](auto& target, const auto& source) {
        target.store(source.load(std::memory_order_relaxed), std::memory_order_release);
    };
    slot& source = from.slots[from_at];
    slot& target = to.slots[to_at];
    copy(target.handle, source.handle);
    copy(target.videocore_handle, source.videocore_handle);
    copy(target.to, source.to);
    copy(target.mutex, source.mutex);
    copy(target.address, source.address);
    source.handle.store(0, std::memory_order_release);
    to.owners[to_at] = std::move(from.owners[from_at]);
}

void registry::grow() {
    tables_.reserve(tables_.size() + 1);
    auto larger = std::make_unique<table>(current().size * 2);
    table& old = current();
    for (std::size_t from = 0; from < old.size; ++from) {
        const std::uint32_t handle = old.slots[from].handle.load(std::memory_order_relaxed);
        if (handle == 0) {
            continue;
        }
        std::size_t at = home_of(handle, larger->size);
        while (larger->slots[at].handle.load(std::memory_order_relaxed) != 0) {
            at = (at + 1) & (larger->size - 1);
        }
        move_slot(old, from, *larger, at);
    }
    old.owners = {};
    tables_.push_back(std::move(larger));
    seen_.store(tables_.back().get(), std::memory_order_release);
}

std::shared_ptr<allocation> registry::move(block& which, std::shared_ptr<allocation> another, std::size_t size) {
    const change guard{*this};
    if (which.handles.first == 0) {
        throw_no_block(fate::freed, which.name(), own_process());
    }
    const placed old = place_of(which);
    enter_place({another->mapped(), another->capacity()}, which.handles.first);
    which.put_in(another, size);
    leave_place(old);
    which.handles.found_by_address = true;
    show_moved(which);
    return another;
}

registry::placed registry::place_in_memory(const allocation& memory, std::byte* address, std::size_t offset,
                                           std::size_t size) {
    // A block that has its allocation for itself has all pages of it; one of several in it has what it was asked for.
    const bool alone = kernel::round_up_to_pages(size) == memory.capacity();
    return {address + offset, alone ? memory.capacity() : size};
}

std::byte* registry::known_address(const block& which) noexcept {
    if (!which.handles.found_by_address) {
        return nullptr;
    }
    const allocation& lies_in = *which.locked_memory();
    std::byte* const address = lies_in.mapped();
    // It is entered here just before its allocation has it.
    return address != nullptr ? address : lies_in.locked_memory().data();
}

registry::placed registry::place_of(const block& which) {
    std::byte* const address = known_address(which);
    return address == nullptr ? placed{nullptr, 0}
                              : place_in_memory(*which.locked_memory(), address, which.offset(), which.locked_size());
}

void registry::enter_place(placed where_to, std::uint32_t handle) {
    addresses_.put(where_to.first, where_to.bytes, handle);
}

void registry::leave_place(placed old) noexcept {
    if (old.first != nullptr) {
        addresses_.remove(old.first, old.bytes);
    }
}

template <class Each>
void registry::for_handles(const block& which, Each&& each) {
    table& in = current();
    const auto at = [&](std::uint32_t handle) {
        const std::size_t place = place_in(in, handle);
        each(in.slots[place], *in.owners[place]);
    };
    at(which.handles.first);
    for (const std::uint32_t handle : which.handles.more) {
        at(handle);
    }
}

void registry::show_moved(const block& which) noexcept {
    for_handles(which, [](slot& at, const reference& shown) { show(at, shown); });
}

void registry::show_mapped(block& which, const allocation& lies_in, std::byte* address) {
    const change guard{*this};
    if (which.handles.first == 0 || which.locked_memory() != &lies_in) {
        return; // freed or moved meanwhile
    }
    const placed wanted = place_in_memory(lies_in, address, which.offset(), which.locked_size());
    enter_place(wanted, which.handles.first);
    which.handles.found_by_address = true;
    for_handles(which, [&](slot& at, const reference&) { show_address(at, which, address); });
}

std::shared_ptr<reference> registry::enter_locked(std::shared_ptr<reference> made) {
    if ((live_ + 1) * 2 > current().size) {
        grow();
    }
    table& in = current();
    if (room_for_all_.capacity() < in.size / 2) {
        room_for_all_.reserve(in.size / 2);
    }
    std::uint32_t next = last_;
    do {
        next = next == largest_handle ? 1 : next + 1;
    } while (place_in(in, next) != in.size);
    block& which = *made->block_;
    if (which.handles.first == 0) {
        const allocation* const memory = which.locked_memory();
        if (std::byte* const address = memory == nullptr ? nullptr : memory->mapped()) {
            enter_place(place_in_memory(*memory, address, which.offset(), which.locked_size()), next);
            which.handles.found_by_address = true;
        }
        which.listed_in_ = this;
        which.handles.first = next;
    } else {
        which.handles.more.push_back(next);
    }
    last_ = next;
    made->handle_ = next;
    std::size_t at = home_of(next, in.size);
    while (in.slots[at].handle.load(std::memory_order_relaxed) != 0) {
        at = (at + 1) & (in.size - 1);
    }
    slot& target = in.slots[at];
    show(target, *made);
    target.to.store(made.get(), std::memory_order_release);
    in.owners[at] = made;
    target.handle.store(next, std::memory_order_release);
    ++live_;
    return made;
}

std::shared_ptr<reference> registry::enter(std::shared_ptr<block> to) {
    auto made = std::make_shared<reference>(std::move(to), own_process());
    const change guard{*this};
    return enter_locked(std::move(made));
}

std::shared_ptr<reference> registry::enter_another(const std::shared_ptr<block>& to) {
    auto made = std::make_shared<reference>(to, own_process());
    const change guard{*this};
    return to->handles.first == 0 ? nullptr : enter_locked(std::move(made));
}

std::uint32_t registry::name(const std::shared_ptr<reference>& unnamed) {
    const change guard{*this};
    if (unnamed->handle() == 0) { // no other thread was faster
        (void)enter_locked(unnamed);
    }
    return unnamed->handle();
}

void registry::replace(block& which, const allocation& into, std::size_t offset, std::size_t size,
                       const std::function<void()>& put) {
    const change guard{*this};
    if (which.handles.first == 0) {
        put();
        return;
    }
    const placed old = place_of(which);
    const placed wanted = place_in_memory(into, into.mapped(), offset, size);
    addresses_.replace(old.first, old.bytes, wanted.first, wanted.bytes, which.handles.first);
    put();
    show_moved(which);
}

std::shared_ptr<reference> registry::find(std::uint32_t handle) const {
    const std::shared_lock guard{mutex_};
    const table& in = current();
    const std::size_t at = place_in(in, handle);
    return at == in.size ? nullptr : in.owners[at];
}

std::shared_ptr<reference> registry::remove(std::uint32_t handle, fate why, bool& last) noexcept {
    last = false;
    const change guard{*this};
    table& in = current();
    std::size_t at = place_in(in, handle);
    if (at == in.size) {
        return nullptr;
    }
    std::shared_ptr<reference> taken = std::move(in.owners[at]);
    in.slots[at].handle.store(0, std::memory_order_release);
    --live_;
    // Those behind that were pushed past the hole move up, so that no search ends too early.
    const std::size_t mask = in.size - 1;
    for (std::size_t next = (at + 1) & mask;; next = (next + 1) & mask) {
        const std::uint32_t there = in.slots[next].handle.load(std::memory_order_relaxed);
        if (there == 0) {
            break;
        }
        const std::size_t home = home_of(there, in.size);
        if (((next - home) & mask) >= ((next - at) & mask)) {
            move_slot(in, next, in, at);
            at = next;
        }
    }
    (void)taken->end(why);
    block& which = *taken->block_;
    auto& handles = which.handles;
    if (handles.first != handle) {
        handles.more.erase(std::find(handles.more.begin(), handles.more.end(), handle));
    } else if (handles.more.empty()) {
        handles.first = 0;
        leave_place(place_of(which));
        handles.found_by_address = false;
        last = true;
    } else {
        handles.first = handles.more.front();
        handles.more.erase(handles.more.begin());
        if (handles.found_by_address) {
            enter_place(place_of(which), handles.first);
        }
    }
    return taken;
}

std::vector<std::shared_ptr<reference>> registry::remove_all(fate why) noexcept {
    const change guard{*this};
    table& in = current();
    std::vector<std::shared_ptr<reference>> taken = std::exchange(room_for_all_, {});
    for (std::size_t at = 0; at < in.size; ++at) {
        if (in.slots[at].handle.load(std::memory_order_relaxed) != 0) {
            (void)in.owners[at]->end(why);
            in.owners[at]->block_->handles = {};
            taken.push_back(std::move(in.owners[at]));
            in.slots[at].handle.store(0, std::memory_order_release);
        }
    }
    addresses_.clear();
    live_ = 0;
    return taken;
}

std::vector<std::shared_ptr<reference>> registry::all() const {
    const std::shared_lock guard{mutex_};
    std::vector<std::shared_ptr<reference>> found;
    found.reserve(live_);
    for (const auto& owned : current().owners) {
        if (owned) {
            found.push_back(owned);
        }
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a->handle() < b->handle(); });
    return found;
}

std::vector<std::uint32_t> registry::others_of(std::uint32_t handle) const {
    const std::shared_lock guard{mutex_};
    const table& in = current();
    const std::size_t at = place_in(in, handle);
    std::vector<std::uint32_t> others;
    if (at != in.size) {
        const auto& handles = in.owners[at]->shared()->handles;
        others = handles.more;
        others.push_back(handles.first);
        others.erase(std::find(others.begin(), others.end(), handle));
    }
    return others;
}

bool registry::empty() const noexcept {
    const std::shared_lock guard{mutex_};
    return live_ == 0;
}

void registry::forget_in_child() noexcept {
    renew_in_child(mutex_);
    table& in = current();
    for (std::size_t at = 0; at < in.size; ++at) {
        if (in.owners[at]) {
            (void)in.owners[at]->end(fate::forked);
            in.owners[at]->shared()->abandon();
            // Not counted down: some C++ libraries (Debian's for armel) do that under a mutex, which another thread of
            // the parent may have held.
            keep_for_ever(std::move(in.owners[at]));
            in.slots[at].handle.store(0, std::memory_order_release);
        }
    }
    addresses_.clear();
    live_ = 0;
}

} // namespace vcsm::detail
