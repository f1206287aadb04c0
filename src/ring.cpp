#include <vcsm/ring.hpp>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace vcsm {

namespace detail {

// Four counts that only grow, acquired >= submitted >= received >= released, and acquired - released <= size. Each is
// changed by one side alone, and stands in a cache line that only that side writes. A side that finds nothing to do
// looks at the other's line; as long as its own copy of the other's count shows work, it does not.
class ring_state {
  public:
    ring_state(std::size_t count, std::size_t size, std::string_view name, block_options options) : bytes{size} {
        if (count == 0) {
            throw std::invalid_argument{"cannot make ring \"" + std::string{name} + "\": a ring has at least 1 block"};
        }
        blocks.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            blocks.emplace_back(size, name, options);
        }
    }

    [[nodiscard]] shared_memory& at(std::uint64_t number) noexcept {
        return blocks[static_cast<std::size_t>(number % blocks.size())];
    }

    const std::size_t bytes;
    std::vector<shared_memory> blocks;
    std::atomic<bool> closed{false};

    struct alignas(128) producers {
        std::atomic<std::uint64_t> submitted{0};
        std::uint64_t acquired = 0;
        std::uint64_t released_seen = 0;
    } producer;
    struct alignas(128) consumers {
        std::atomic<std::uint64_t> released{0};
        std::uint64_t received = 0;
        std::uint64_t submitted_seen = 0;
    } consumer;
};

namespace {

// The other side is often a moment away: a look costs some nanoseconds, going to sleep and being woken some
// microseconds.
constexpr int looks_before_sleep = 200;

// Waits until `count` is another than `seen`, or something else woke it.
void wait_for_change(const std::atomic<std::uint64_t>& count, std::uint64_t seen) noexcept {
    for (int i = 0; i < looks_before_sleep; ++i) {
        if (count.load(std::memory_order_acquire) != seen) {
            return;
        }
    }
    count.wait(seen, std::memory_order_acquire);
}

} // namespace

} // namespace detail

// The highest bit of a count tells those who sleep on it that the ring is closed.
static constexpr std::uint64_t closed_bit = std::uint64_t{1} << 63;

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
    const std::uint64_t released = state_->consumer.released.load(std::memory_order_acquire) & ~closed_bit;
    return static_cast<std::size_t>((state_->producer.submitted.load(std::memory_order_acquire) & ~closed_bit) -
                                    released);
}

shared_memory* ring::try_acquire() noexcept {
    auto& own = state_->producer;
    if (own.acquired - own.released_seen >= state_->blocks.size()) {
        own.released_seen = state_->consumer.released.load(std::memory_order_acquire) & ~closed_bit;
        if (own.acquired - own.released_seen >= state_->blocks.size()) {
            return nullptr;
        }
    }
    if (state_->closed.load(std::memory_order_relaxed)) {
        return nullptr;
    }
    return &state_->at(own.acquired++);
}

shared_memory* ring::acquire() {
    for (;;) {
        const std::uint64_t seen = state_->consumer.released.load(std::memory_order_acquire);
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
    if ((own.submitted.load(std::memory_order_relaxed) & ~closed_bit) == own.acquired) {
        throw std::logic_error{"cannot submit a block of a ring: none is acquired"};
    }
    own.submitted.fetch_add(1, std::memory_order_release);
    own.submitted.notify_one();
}

shared_memory* ring::try_receive() noexcept {
    auto& own = state_->consumer;
    if (own.received == own.submitted_seen) {
        own.submitted_seen = state_->producer.submitted.load(std::memory_order_acquire) & ~closed_bit;
        if (own.received == own.submitted_seen) {
            return nullptr;
        }
    }
    return &state_->at(own.received++);
}

shared_memory* ring::receive() {
    for (;;) {
        const std::uint64_t seen = state_->producer.submitted.load(std::memory_order_acquire);
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
    const std::uint64_t released = own.released.load(std::memory_order_relaxed) & ~closed_bit;
    if (released == own.received && try_receive() == nullptr) {
        throw std::logic_error{"cannot release a block of a ring: none is in use"};
    }
    own.released.fetch_add(1, std::memory_order_release);
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
