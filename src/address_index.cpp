#include "address_index.hpp"

#include "kernel/syscalls.hpp"

#include <algorithm>
#include <bit>

namespace vcsm::detail {

namespace {

constexpr unsigned chunk_bits = 21;
constexpr std::size_t chunk_bytes = std::size_t{1} << chunk_bits;
constexpr std::size_t chunks_at_first = 64;

std::uintptr_t number_of(const void* address) noexcept {
    return reinterpret_cast<std::uintptr_t>(address);
}

std::size_t home_of(std::uintptr_t number, std::size_t mask) noexcept {
    constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
    return static_cast<std::size_t>((number * golden) >> 32U) & mask;
}

} // namespace

address_index::address_index()
    : page_bits_{static_cast<unsigned>(std::countr_zero(kernel::page_size()))}, pages_in_chunk_{chunk_bytes /
                                                                                                kernel::page_size()} {
    tables_.push_back(std::make_unique<table>(chunks_at_first));
    current_.store(tables_.back().get(), std::memory_order_release);
}

bool address_index::is_whole_pages(std::uintptr_t first, std::size_t bytes) const noexcept {
    const std::uintptr_t inside = (std::uintptr_t{1} << page_bits_) - 1;
    return ((first | bytes) & inside) == 0;
}

template <class Each>
void address_index::for_chunks(std::uintptr_t first, std::size_t bytes, Each&& each) const {
    while (bytes > 0) {
        const std::size_t inside = first & (chunk_bytes - 1);
        const std::size_t here = std::min(bytes, chunk_bytes - inside);
        each(first >> chunk_bits, inside >> page_bits_, here >> page_bits_);
        first += here;
        bytes -= here;
    }
}

address_index::chunk* address_index::find_chunk(const table& in, std::uintptr_t number) noexcept {
    for (std::size_t at = home_of(number, in.mask);; at = (at + 1) & in.mask) {
        const std::uintptr_t key = in.chunks[at].key.load(std::memory_order_acquire);
        if (key == number + 1) {
            return &in.chunks[at];
        }
        if (key == 0) {
            return nullptr;
        }
    }
}

void address_index::make_room(std::size_t chunks) {
    const table& old = *tables_.back();
    if (chunks == 0 || (chunks_ + chunks) * 2 <= old.mask) {
        return;
    }
    // Chunks that have nothing in them any more are left behind.
    std::size_t live = 0;
    const auto is_used = [](const chunk& one) {
        return one.used != 0 || one.whole.load(std::memory_order_relaxed) != 0;
    };
    for (std::size_t at = 0; at <= old.mask; ++at) {
        live += is_used(old.chunks[at]) ? 1 : 0;
    }
    std::size_t size = std::max((old.mask + 1) * (live * 4 > old.mask ? 2 : 1), chunks_at_first);
    while ((live + chunks) * 2 > size - 1) {
        size *= 2;
    }
    table& next = make_table(size);
    for (std::size_t at = 0; at <= old.mask; ++at) {
        chunk& from = old.chunks[at];
        if (!is_used(from)) {
            if (cell* const idle = from.pages.load(std::memory_order_relaxed)) {
                unused_arrays_.push_back(idle);
            }
            continue;
        }
        const std::uintptr_t key = from.key.load(std::memory_order_relaxed);
        std::size_t home = home_of(key - 1, next.mask);
        while (next.chunks[home].key.load(std::memory_order_relaxed) != 0) {
            home = (home + 1) & next.mask;
        }
        chunk& to = next.chunks[home];
        to.key.store(key, std::memory_order_release);
        to.whole.store(from.whole.load(std::memory_order_relaxed), std::memory_order_release);
        to.pages.store(from.pages.load(std::memory_order_relaxed), std::memory_order_release);
        to.used = from.used;
    }
    chunks_ = live;
    current_.store(tables_.back().get(), std::memory_order_release);
}

address_index::table& address_index::make_table(std::size_t size) {
    const std::size_t count = tables_.size();
    if (count < 2 || tables_[count - 2]->mask != size - 1) {
        tables_.reserve(count + 1);
        tables_.push_back(std::make_unique<table>(size));
        return *tables_.back();
    }
    // Somebody may still be reading in it. What is stored from here on comes after the registry's version said that
    // something changes, so whoever sees any of it looks again.
    std::swap(tables_[count - 2], tables_[count - 1]);
    table& again = *tables_.back();
    for (std::size_t at = 0; at <= again.mask; ++at) {
        chunk& one = again.chunks[at];
        one.key.store(0, std::memory_order_release);
        one.whole.store(0, std::memory_order_release);
        one.pages.store(nullptr, std::memory_order_release);
        one.used = 0;
    }
    return again;
}

address_index::chunk& address_index::make_chunk(std::uintptr_t number) noexcept {
    if (chunk* const known = find_chunk(*tables_.back(), number)) {
        return *known;
    }
    table& in = *tables_.back();
    std::size_t at = home_of(number, in.mask);
    while (in.chunks[at].key.load(std::memory_order_relaxed) != 0) {
        at = (at + 1) & in.mask;
    }
    in.chunks[at].key.store(number + 1, std::memory_order_release);
    ++chunks_;
    return in.chunks[at];
}

void address_index::make_pages(chunk& in) {
    if (in.pages.load(std::memory_order_relaxed) != nullptr) {
        return;
    }
    if (unused_arrays_.empty()) {
        unused_arrays_.reserve(arrays_.size() + 1); // so that giving one back never fails
        arrays_.reserve(arrays_.size() + 1);
        arrays_.push_back(std::make_unique<cell[]>(pages_in_chunk_));
        unused_arrays_.push_back(arrays_.back().get());
    }
    in.pages.store(unused_arrays_.back(), std::memory_order_release);
    unused_arrays_.pop_back();
}

void address_index::prepare(std::uintptr_t start, std::size_t bytes) {
    // Room for all chunks at once, because those that are made, and have nothing in them yet, would be left behind by
    // the next table.
    std::size_t missing = 0;
    for_chunks(start, bytes, [&](std::uintptr_t number, std::size_t, std::size_t) {
        missing += find_chunk(*tables_.back(), number) == nullptr ? 1 : 0;
    });
    make_room(missing);
    for_chunks(start, bytes, [&](std::uintptr_t number, std::size_t, std::size_t pages) {
        chunk& in = make_chunk(number);
        if (pages != pages_in_chunk_) {
            make_pages(in);
        }
    });
}

void address_index::replace(const std::byte* old_first, std::size_t old_bytes, const std::byte* first,
                            std::size_t bytes, std::uint32_t handle) {
    const std::uintptr_t start = number_of(first);
    const bool was_whole = is_whole_pages(number_of(old_first), old_bytes);
    if (!is_whole_pages(start, bytes)) {
        put(first, bytes, handle);
        if (was_whole || old_first != first) {
            remove(old_first, old_bytes);
        }
        return;
    }
    if (was_whole) {
        // Removing gives back no more arrays than are taken again at once, so that the rest cannot fail.
        prepare(start, bytes);
        remove(old_first, old_bytes);
        put(first, bytes, handle);
    } else {
        put(first, bytes, handle);
        remove(old_first, old_bytes);
    }
}

void address_index::put(const std::byte* first, std::size_t bytes, std::uint32_t handle) {
    const std::uintptr_t start = number_of(first);
    if (!is_whole_pages(start, bytes)) {
        small_[start] = {bytes, handle};
        small_count_.store(small_.size(), std::memory_order_release);
        return;
    }
    prepare(start, bytes); // all that can fail comes first
    for_chunks(start, bytes, [&](std::uintptr_t number, std::size_t page, std::size_t pages) {
        chunk& in = make_chunk(number); // it is there
        if (pages == pages_in_chunk_) {
            in.whole.store(handle, std::memory_order_release);
            return;
        }
        cell* const cells = in.pages.load(std::memory_order_relaxed);
        for (std::size_t i = page; i < page + pages; ++i) {
            in.used += cells[i].load(std::memory_order_relaxed) == 0 ? 1 : 0;
            cells[i].store(handle, std::memory_order_release);
        }
    });
}

void address_index::remove(const std::byte* first, std::size_t bytes) noexcept {
    const std::uintptr_t start = number_of(first);
    if (!is_whole_pages(start, bytes)) {
        small_.erase(start);
        small_count_.store(small_.size(), std::memory_order_release);
        return;
    }
    for_chunks(start, bytes, [&](std::uintptr_t number, std::size_t page, std::size_t pages) {
        chunk* const in = find_chunk(*tables_.back(), number);
        if (in == nullptr) {
            return;
        }
        if (pages == pages_in_chunk_) {
            in->whole.store(0, std::memory_order_release);
            return;
        }
        cell* const cells = in->pages.load(std::memory_order_relaxed);
        if (cells == nullptr) {
            return;
        }
        for (std::size_t i = page; i < page + pages; ++i) {
            in->used -= cells[i].load(std::memory_order_relaxed) != 0 ? 1 : 0;
            cells[i].store(0, std::memory_order_release);
        }
        if (in->used == 0) {
            in->pages.store(nullptr, std::memory_order_release);
            unused_arrays_.push_back(cells);
        }
    });
}

void address_index::clear() noexcept {
    const table& in = *tables_.back();
    for (std::size_t at = 0; at <= in.mask; ++at) {
        chunk& one = in.chunks[at];
        one.whole.store(0, std::memory_order_release);
        one.used = 0;
        if (cell* const cells = one.pages.load(std::memory_order_relaxed)) {
            for (std::size_t i = 0; i < pages_in_chunk_; ++i) {
                cells[i].store(0, std::memory_order_release);
            }
            one.pages.store(nullptr, std::memory_order_release);
            unused_arrays_.push_back(cells);
        }
    }
    small_.clear();
    small_count_.store(0, std::memory_order_release);
}

std::uint32_t address_index::find(const void* address) const noexcept {
    const std::uintptr_t number = number_of(address);
    const chunk* const in = find_chunk(*current_.load(std::memory_order_acquire), number >> chunk_bits);
    if (in == nullptr) {
        return 0;
    }
    if (const std::uint32_t whole = in->whole.load(std::memory_order_acquire); whole != 0) {
        return whole;
    }
    const cell* const cells = in->pages.load(std::memory_order_acquire);
    return cells == nullptr ? 0 : cells[(number & (chunk_bytes - 1)) >> page_bits_].load(std::memory_order_acquire);
}

std::uint32_t address_index::find_small(const void* address) const noexcept {
    const std::uintptr_t number = number_of(address);
    auto after = small_.upper_bound(number);
    if (after == small_.begin()) {
        return 0;
    }
    --after;
    return number - after->first < after->second.bytes ? after->second.handle : 0;
}

} // namespace vcsm::detail
