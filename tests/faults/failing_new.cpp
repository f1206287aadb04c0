#include "faults/failing_new.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

struct watch {
    bool on = false;
    unsigned paused = 0;
    std::uint64_t counted = 0;
    std::uint64_t fail_at = 0;
    bool failed = false;
};

thread_local watch own;
std::atomic<std::int64_t> living{0};

// NOLINTBEGIN(cppcoreguidelines-no-malloc): it is what operator new is made of here
void* take(std::size_t bytes, std::size_t alignment) {
    if (own.on && own.paused == 0 && ++own.counted == own.fail_at) {
        own.failed = true;
        return nullptr;
    }
    if (bytes == 0) {
        bytes = 1;
    }
    void* const taken = alignment <= alignof(std::max_align_t)
                            ? std::malloc(bytes)
                            : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (taken != nullptr) {
        living.fetch_add(1, std::memory_order_relaxed);
    }
    return taken;
}

void* take_or_throw(std::size_t bytes, std::size_t alignment) {
    void* const taken = take(bytes, alignment);
    if (taken == nullptr) {
        throw std::bad_alloc{};
    }
    return taken;
}

void give_back(void* piece) noexcept {
    if (piece != nullptr) {
        living.fetch_sub(1, std::memory_order_relaxed);
        std::free(piece);
    }
}
// NOLINTEND(cppcoreguidelines-no-malloc)

} // namespace

namespace faults {

news_watched::news_watched(std::uint64_t fail_at, std::uint64_t counted_before) noexcept {
    own.fail_at = fail_at;
    own.counted = counted_before;
    own.failed = fail_at != 0 && counted_before >= fail_at;
    own.on = true;
}
news_watched::~news_watched() {
    own.on = false;
}
std::uint64_t news_watched::counted() noexcept {
    return own.counted;
}
bool news_watched::failed() noexcept {
    return own.failed;
}

news_unwatched::news_unwatched() noexcept {
    ++own.paused;
}
news_unwatched::~news_unwatched() {
    --own.paused;
}

std::int64_t living_pieces() noexcept {
    return living.load(std::memory_order_relaxed);
}

} // namespace faults

void* operator new(std::size_t bytes) {
    return take_or_throw(bytes, 0);
}
void* operator new[](std::size_t bytes) {
    return take_or_throw(bytes, 0);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return take_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return take_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return take(bytes, 0);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return take(bytes, 0);
}
void operator delete(void* piece) noexcept {
    give_back(piece);
}
void operator delete[](void* piece) noexcept {
    give_back(piece);
}
void operator delete(void* piece, std::size_t) noexcept {
    give_back(piece);
}
void operator delete[](void* piece, std::size_t) noexcept {
    give_back(piece);
}
void operator delete(void* piece, std::align_val_t) noexcept {
    give_back(piece);
}
void operator delete[](void* piece, std::align_val_t) noexcept {
    give_back(piece);
}
void operator delete(void* piece, std::size_t, std::align_val_t) noexcept {
    give_back(piece);
}
void operator delete[](void* piece, std::size_t, std::align_val_t) noexcept {
    give_back(piece);
}
