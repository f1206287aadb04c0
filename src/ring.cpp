#include <vcsm/ring.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace vcsm {

namespace detail {

// The highest bit of a count tells those who sleep on it that the ring is closed.
constexpr std::uint32_t closed_bit = std::uint32_t{1} << 31;

// What lies between two counts, which wrap around below the closed bit.
constexpr std::uint32_t distance(std::uint32_t from, std::uint32_t to) noexcept {
    return (to - from) & ~closed_bit;
}

// Four counts that only grow, acquired >= submitted >= received >= released, and acquired - released <= size. Each is
// changed by one side alone, and stands in a cache line that only that side writes. A side that finds nothing to do
// looks at the other's line; as long as its own copy of the other's count shows work, it does not. Those that the other
// side sees have the 32 bits that the kernel can wait for.
class ring_state {
  public:
    ring_state(std::size_t count, std::size_t size, std::string_view name, block_options options) : bytes{size} {
        if (count == 0) {
            throw std::invalid_argument{"cannot make ring \"" + std::string{name} + "\": a ring has at least 1 block"};
        }
        if (count >= closed_bit) { // the counts wrap around there
            throw std::length_error{"cannot make ring \"" + std::string{name} + "\" of " + std::to_string(count) +
                                    " blocks: a ring has at most " + std::to_string(closed_bit - 1)};
        }
        blocks.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            blocks.emplace_back(size, name, options);
        }
    }

    /// The block at `turn`, which moves on.
    [[nodiscard]] shared_memory& next(std::size_t& turn) noexcept {
        shared_memory& found = blocks[turn];
        turn = turn + 1 == blocks.size() ? 0 : turn + 1;
        return found;
    }

    const std::size_t bytes;
    std::vector<shared_memory> blocks;
    std::atomic<bool> closed{false};

    struct alignas(128) producers {
        std::atomic<std::uint32_t> submitted{0};
        std::uint32_t acquired = 0;
        std::uint32_t released_seen = 0;
        std::size_t turn = 0;
    } producer;
    struct alignas(128) consumers {
        std::atomic<std::uint32_t> released{0};
        std::uint32_t received = 0;
        std::uint32_t submitted_seen = 0;
        std::size_t turn = 0;
    } consumer;
};

namespace {

// The other side is often only the filling of a block away, which takes microseconds; to go to sleep and be woken takes
// both sides more than that.
constexpr std::chrono::microseconds looking_before_sleep{50};

void pause_processor() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Waits until `count` is another than `seen`, or something else woke it.
void wait_for_change(const std::atomic<std::uint32_t>& count, std::uint32_t seen) noexcept {
    constexpr int looks_at_once = 32;
    const auto start = std::chrono::steady_clock::now();
    do {
        for (int i = 0; i < looks_at_once; ++i) {
            if (count.load(std::memory_order_acquire) != seen) {
                return;
            }
            pause_processor();
        }
    } while (std::chrono::steady_clock::now() - start < looking_before_sleep);
    count.wait(seen, std::memory_order_acquire);
}

// Adds one below the closed bit, which another thread may set at any time. In one order with what a sleeper does.
void count_one(std::atomic<std::uint32_t>& count) noexcept {
    std::uint32_t seen = count.load(std::memory_order_relaxed);
    while (!count.compare_exchange_weak(seen, (seen & closed_bit) | ((seen + 1) & ~closed_bit),
                                        std::memory_order_seq_cst)) {
    }
}

} // namespace

} // namespace detail

using detail::closed_bit;
using detail::distance;

ring::ring(std::size_t blocks, std::size_t bytes, std::string_view name, block_options options)
    : state_{std::make_unique<detail::ring_state>(blocks, bytes, name, options)} {}
ring::ring(ring&&) noexcept = default;
ring& ring::operator=(ring&&) noexcept = default;
ring::~ring() = default;

std::size_t ring::size() const noexcept {
    return state_->blocks.size();
}

std::size_t ring::block_bytes() const noexcept {
    return state_->bytes;
}

std::size_t ring::in_use() const noexcept {
    const std::uint32_t released = state_->consumer.released.load(std::memory_order_acquire);
    return distance(released, state_->producer.submitted.load(std::memory_order_acquire));
}

shared_memory* ring::try_acquire() noexcept {
    auto& own = state_->producer;
    if (distance(own.released_seen, own.acquired) >= state_->blocks.size()) {
        own.released_seen = state_->consumer.released.load(std::memory_order_acquire);
        if (distance(own.released_seen, own.acquired) >= state_->blocks.size()) {
            return nullptr;
        }
    }
    if (state_->closed.load(std::memory_order_relaxed)) {
        return nullptr;
    }
    ++own.acquired;
    return &state_->next(own.turn);
}

shared_memory* ring::acquire() {
    for (;;) {
        const std::uint32_t seen = state_->consumer.released.load(std::memory_order_acquire);
        if (shared_memory* const next = try_acquire()) {
            return next;
        }
        if (state_->closed.load(std::memory_order_acquire)) {
            return nullptr;
        }
        detail::wait_for_change(state_->consumer.released, seen);
    }
}

void ring::submit() {
    auto& own = state_->producer;
    if (distance(own.submitted.load(std::memory_order_relaxed), own.acquired) == 0) {
        throw std::logic_error{"cannot submit a block of a ring: none is acquired"};
    }
    detail::count_one(own.submitted);
    own.submitted.notify_one();
}

shared_memory* ring::try_receive() noexcept {
    auto& own = state_->consumer;
    if (distance(own.received, own.submitted_seen) == 0) {
        own.submitted_seen = state_->producer.submitted.load(std::memory_order_acquire);
        if (distance(own.received, own.submitted_seen) == 0) {
            return nullptr;
        }
    }
    ++own.received;
    return &state_->next(own.turn);
}

shared_memory* ring::receive() {
    for (;;) {
        const std::uint32_t seen = state_->producer.submitted.load(std::memory_order_acquire);
        if (shared_memory* const next = try_receive()) {
            return next;
        }
        if ((seen & closed_bit) != 0) {
            return nullptr;
        }
        detail::wait_for_change(state_->producer.submitted, seen);
    }
}

void ring::release() {
    auto& own = state_->consumer;
    if (distance(own.released.load(std::memory_order_relaxed), own.received) == 0 && try_receive() == nullptr) {
        throw std::logic_error{"cannot release a block of a ring: none is in use"};
    }
    detail::count_one(own.released);
    own.released.notify_one();
}

void ring::close() noexcept {
    state_->closed.store(true, std::memory_order_release);
    state_->producer.submitted.fetch_or(closed_bit, std::memory_order_acq_rel);
    state_->consumer.released.fetch_or(closed_bit, std::memory_order_acq_rel);
    state_->producer.submitted.notify_all();
    state_->consumer.released.notify_all();
}

} // namespace vcsm
