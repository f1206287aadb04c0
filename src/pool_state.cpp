#include "pool_state.hpp"

#include "copy.hpp"
#include "kernel/syscalls.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <sched.h>
#include <unistd.h>

namespace vcsm::detail {

namespace {

// What a shard keeps of one class: enough for a program's bursts, and not more than 256 KiB of blocks of up to 64 KiB.
std::size_t most_kept(std::size_t bytes) noexcept {
    const std::size_t fewest = bytes > largest_rounded_bytes ? 2 : 4;
    return std::clamp(std::size_t{256 << 10} / bytes, fewest, std::size_t{64});
}

// Above this, sizes are refused by the device before they are rounded up.
constexpr std::size_t absurd = SIZE_MAX / 4;

} // namespace

pool_class class_of_units(std::size_t units) noexcept {
    if (units <= 16) {
        return {static_cast<unsigned>(units), units};
    }
    const auto shift = static_cast<unsigned>(std::bit_width(units - 1)) - 4;
    const std::size_t eighth = (units - 1) >> shift; // 8 to 15
    return {17 + (shift - 1) * 8 + static_cast<unsigned>(eighth - 8), (eighth + 1) << shift};
}

std::shared_ptr<pool_state> pool_state::make(std::size_t bytes, std::string_view name, const pool_options& options) {
    return {new pool_state{bytes, name, options}, [](pool_state* unused) {
                if (unused->mode_.load(std::memory_order_relaxed) != mode::forked) {
                    delete unused;
                }
            }};
}

pool_state::pool_state(std::size_t bytes, std::string_view name, const pool_options& options)
    : name_{name}, options_{options},
      first_bytes_{bytes}, keep_{options.whole_blocks ? bytes : options.keep}, owner_{::getpid()} {
    if (bytes == 0) {
        throw std::invalid_argument{"cannot make pool \"" + name_ + "\": a pool has at least 1 byte"};
    }
    if (!is_power_of_two(options.alignment)) {
        throw std::invalid_argument{"cannot make pool \"" + name_ + "\": an alignment of " +
                                    std::to_string(options.alignment) + " bytes is no power of two"};
    }
    service::instance().enter(*this);
}

pool_state::~pool_state() {
    const fate why = mode_ == mode::stopped ? fate::stopped : fate::freed;
    service::instance().leave(*this, [&] {
        for (const auto& each : chunks_) {
            each->memory->release(why);
        }
    });
}

void pool_state::begin() {
    if (options_.whole_blocks) {
        service::instance().start();
    } else {
        grow(first_bytes_, options_.alignment, 0);
    }
}

// ---- shards

void pool_state::shard::lock() noexcept {
    for (unsigned tries = 0; !try_lock(); ++tries) {
        if (tries > 64) {
            ::sched_yield(); // its holder was interrupted
        }
    }
}

pool_state::shard* pool_state::try_other_shard(std::size_t than) noexcept {
    for (std::size_t i = 1; i < shards; ++i) {
        if (shard& each = shards_[(than + i) % shards]; each.try_lock()) {
            return &each;
        }
    }
    return nullptr;
}

void pool_state::count(std::int64_t blocks, std::int64_t bytes) noexcept {
    shard& own = shards_[this_thread_number() % shards];
    own.lock();
    count(own, blocks, bytes);
    own.unlock();
}

void pool_state::set_mode(mode now) noexcept {
    for (shard& each : shards_) {
        each.lock();
    }
    {
        const std::lock_guard guard{mutex_};
        mode_.store(now, std::memory_order_relaxed);
    }
    for (shard& each : shards_) {
        each.unlock();
    }
}

void pool_state::throw_unusable() const {
    switch (mode_.load(std::memory_order_relaxed)) {
    case mode::stopped:
        throw_no_block(fate::stopped, name_, owner_);
    case mode::forked:
        throw_no_block(fate::forked, name_, owner_);
    default:
        throw_no_block(fate::freed, name_, owner_);
    }
}

std::shared_ptr<reference> pool_state::take_kept(std::size_t size, std::size_t alignment) noexcept {
    shard* const own = try_own_shard();
    if (own == nullptr) {
        return nullptr;
    }
    std::shared_ptr<reference> taken;
    const pool_class wanted = class_of(size);
    pool_block* const top = own->kept[wanted.number];
    if (top != nullptr && (top->address_ & (alignment - 1)) == 0 && usable()) {
        own->kept[wanted.number] = top->next_;
        --own->number[wanted.number];
        count(*own, 1, static_cast<std::int64_t>(wanted.bytes));
        taken = std::move(top->self_);
    }
    own->unlock();
    if (taken) {
        top->live_ = true;
        top->put(size);
    }
    return taken;
}

void pool_state::recycle(pool_block& which, std::shared_ptr<reference>&& ending) noexcept {
#if defined(__SANITIZE_THREAD__)
    const auto seen = ending; // what the next but one line relies on, in words that ThreadSanitizer knows
    const long alone = 2;
#else
    const long alone = 1;
#endif
    pool_block* spilled = nullptr;
    if (which.size_class_ != 0 && usable() && ending.use_count() == alone && ending->alive()) {
        // Nobody else can get hold of it any more; what those who had it did has happened.
        std::atomic_thread_fence(std::memory_order_acquire);
        if (shard* const own = try_own_shard()) {
            if (usable()) {
                const unsigned number = which.size_class_;
                const std::size_t bytes = which.range_->bytes;
                count(*own, -1, -static_cast<std::int64_t>(bytes));
                which.live_ = false;
                which.handed_out.store(false, std::memory_order_relaxed);
                if (own->number[number] >= most_kept(bytes)) { // half of them, so that it is not so at once again
                    spilled = own->kept[number];
                    pool_block* last = spilled;
                    own->number[number] = static_cast<std::uint8_t>(own->number[number] / 2);
                    for (std::size_t i = own->number[number]; i > 1; --i) {
                        last = last->next_;
                    }
                    own->kept[number] = std::exchange(last->next_, nullptr);
                    own->number[number] = static_cast<std::uint8_t>(most_kept(bytes) - own->number[number]);
                }
                which.next_ = own->kept[number];
                which.self_ = std::move(ending);
                own->kept[number] = &which;
                ++own->number[number];
            }
            own->unlock();
        }
    }
    if (ending) {                       // it is empty where it was moved
        (void)ending->end(fate::freed); // NOLINT(bugprone-use-after-move)
        ending.reset();
    }
    while (spilled != nullptr) {
        pool_block* const each = std::exchange(spilled, spilled->next_);
        const std::shared_ptr<reference> last = std::move(each->self_);
    }
}

void pool_state::drain() noexcept {
    for (shard& each : shards_) {
        each.lock();
        const std::array<pool_block*, pool_classes> kept = std::exchange(each.kept, {});
        each.number = {};
        each.unlock();
        for (pool_block* first : kept) {
            while (first != nullptr) {
                pool_block* const one = std::exchange(first, first->next_);
                const std::shared_ptr<reference> last = std::move(one->self_);
            }
        }
    }
}

// ---- the pool's memory

std::size_t pool_state::granted(std::size_t size) const noexcept {
    if (options_.whole_blocks) {
        const std::size_t page = kernel::page_size();
        return class_of_units((size + page - 1) / page).bytes * page;
    }
    return size <= largest_rounded_bytes ? class_of(size).bytes : (size + pool_granule - 1) & ~(pool_granule - 1);
}

pool_range* pool_state::try_take_whole(std::size_t bytes, std::size_t alignment) {
    const auto found = whole_.lower_bound(bytes);
    if (found == whole_.end() || found->first > bytes + bytes / 4) {
        return nullptr;
    }
    std::vector<pool_chunk*>& idle = found->second;
    for (std::size_t i = idle.size(); i-- > 0;) {
        pool_chunk* const each = idle[i];
        if (each->pins == 0 && (each->base & (alignment - 1)) == 0) {
            pool_range* const taken = ranges_.take_all(each->whole);
            idle.erase(idle.begin() + static_cast<std::ptrdiff_t>(i));
            return taken;
        }
    }
    return nullptr;
}

pool_range* pool_state::try_take(std::size_t bytes, std::size_t alignment) {
    const std::lock_guard guard{mutex_};
    throw_unless_open();
    pool_range* const taken = options_.whole_blocks ? try_take_whole(bytes, alignment) : ranges_.take(bytes, alignment);
    if (taken != nullptr) {
        pool_chunk& in = *taken->in;
        if (in.used == 0) {
            empty_bytes_ -= in.bytes;
            in.whole = nullptr;
        }
        in.used += taken->bytes;
    }
    return taken;
}

pool_range* pool_state::take_range(std::size_t size, std::size_t alignment) {
    refuse_absurd(size);
    refuse_absurd(alignment);
    const std::size_t bytes = granted(size);
    if (pool_range* const taken = try_take(bytes, alignment)) {
        return taken;
    }
    drain();
    const std::size_t exact = options_.whole_blocks ? bytes : (size + pool_granule - 1) & ~(pool_granule - 1);
    for (unsigned tries = 0;; ++tries) {
        if (pool_range* const taken = try_take(bytes, alignment)) {
            return taken;
        }
        if (pool_range* const taken = try_take(exact, alignment)) {
            return taken;
        }
        // And look again: another thread may have taken it, and then the device may align to pages alone.
        const std::size_t step = options_.whole_blocks ? 0 : options_.grow_by == 0 ? first_bytes_ : options_.grow_by;
        grow(tries == 0 ? bytes : bytes + alignment, alignment, step);
    }
}

// What is refused by any device must not overflow on the way there.
void pool_state::refuse_absurd(std::size_t bytes) const {
    if (bytes > absurd) {
        throw std::length_error{"cannot allocate " + std::to_string(bytes) + " bytes from pool \"" + name_ +
                                "\": no device has that much"};
    }
}

void pool_state::grow(std::size_t bytes, std::size_t alignment, std::size_t step) {
    refuse_absurd(bytes);
    refuse_absurd(step);
    for (bool again = true;; again = false) {
        try {
            grow_at_once(bytes, alignment, step);
            return;
        } catch (const out_of_memory&) {
            if (!again || release_empty(0) == 0) {
                throw;
            }
        }
    }
}

void pool_state::grow_at_once(std::size_t bytes, std::size_t alignment, std::size_t step) {
    std::size_t wanted = kernel::round_up_to_pages(std::max(bytes, step));
    {
        std::unique_lock guard{mutex_};
        throw_unless_open();
        const std::size_t had = capacity_ + growing_;
        const std::size_t room = options_.limit > had ? options_.limit - had : 0;
        wanted = std::max(kernel::round_up_to_pages(bytes), std::min(wanted, room & ~(kernel::page_size() - 1)));
        if (wanted > room) {
            guard.unlock();
            throw_full(bytes);
        }
        growing_ += wanted;
    }
    const auto uncount = [&] {
        const std::lock_guard guard{mutex_};
        growing_ -= wanted;
    };
    const auto allocate = [&](std::size_t some) {
        service::instance().allocate_memory(*this, some, name_, {options_.cache, alignment});
    };
    try {
        try {
            allocate(wanted);
        } catch (const out_of_memory&) {
            if (wanted <= bytes) {
                throw;
            }
            allocate(bytes); // just what is needed
        }
    } catch (...) {
        uncount();
        throw;
    }
    uncount();
}

void pool_state::throw_full(std::size_t bytes) {
    const pool_statistics now = statistics();
    failure about;
    about.operation = "allocate";
    about.block = name_;
    about.bytes = bytes;
    about.remedy = std::to_string(now.free) + " of the pool's " + std::to_string(now.capacity) +
                   " bytes are free, the largest piece has " + std::to_string(now.largest_free) +
                   ": destroy blocks, or raise its limit of " + std::to_string(options_.limit) + " bytes";
    throw out_of_memory{std::move(about)};
}

void pool_state::adopt(const std::shared_ptr<allocation>& made) {
    auto chunk = std::make_unique<pool_chunk>();
    chunk->memory = made;
    chunk->bytes = made->capacity() & ~(pool_granule - 1);
    chunk->base = made->with_memory([&](device::memory& memory) {
        return made->from().gives().bus_address ? memory.bus_address()
                                                : reinterpret_cast<std::uintptr_t>(made->mapped());
    });
    const std::lock_guard guard{mutex_};
    throw_unless_open();
    chunks_.reserve(chunks_.size() + 1);
    if (options_.whole_blocks) {
        auto& idle = whole_[chunk->bytes];
        idle.reserve(idle.size() + chunks_.size() + 1); // so that giving back cannot fail
        chunk->whole = ranges_.add(chunk.get(), chunk->bytes);
        idle.push_back(chunk.get());
    } else {
        chunk->whole = ranges_.add(chunk.get(), chunk->bytes);
    }
    capacity_ += chunk->bytes;
    empty_bytes_ += chunk->bytes;
    chunks_.push_back(std::move(chunk));
}

bool pool_state::keeps_too_much() const noexcept {
    return empty_bytes_ > keep_ && usable();
}

void pool_state::return_range(pool_range* range) noexcept {
    bool too_much = false;
    {
        const std::lock_guard guard{mutex_};
        pool_chunk& in = *range->in;
        in.used -= range->bytes;
        pool_range* const now = ranges_.give_back(range);
        if (in.used == 0) {
            in.whole = now;
            empty_bytes_ += in.bytes;
            if (options_.whole_blocks) {
                whole_[in.bytes].push_back(&in);
            }
            too_much = keeps_too_much();
        }
    }
    if (too_much) {
        release_empty(keep_);
    }
}

void pool_state::give_back(pool_block& which) noexcept {
    if (mode_.load(std::memory_order_relaxed) == mode::forked) {
        return;
    }
    if (which.live_) {
        count(-1, -static_cast<std::int64_t>(which.range_->bytes));
    }
    return_range(which.range_);
}

std::size_t pool_state::release_empty(std::size_t keep) noexcept {
    return service::instance().undisturbed([&] {
        const std::lock_guard guard{mutex_};
        std::size_t given = 0;
        for (std::size_t i = chunks_.size(); i-- > 0 && usable() && empty_bytes_ > keep;) {
            pool_chunk& each = *chunks_[i];
            if (each.used > 0 || each.pins > 0) {
                continue;
            }
            ranges_.remove(each.whole);
            if (options_.whole_blocks) {
                std::vector<pool_chunk*>& idle = whole_[each.bytes];
                idle.erase(std::find(idle.begin(), idle.end(), &each));
            }
            capacity_ -= each.bytes;
            empty_bytes_ -= each.bytes;
            given += each.bytes;
            each.memory->release(fate::freed);
            std::swap(chunks_[i], chunks_.back());
            chunks_.pop_back();
        }
        return given;
    });
}

std::shared_ptr<block> pool_state::block_showing(const device::file_identity& identity) {
    // All of one of the pool's allocations, which the pool keeps meanwhile.
    class whole_chunk final : public block {
      public:
        whole_chunk(std::shared_ptr<pool_state> home, pool_chunk& chunk)
            : block{chunk.memory, 0, chunk.memory->capacity(), home->name()}, home_{std::move(home)}, chunk_{chunk} {}
        ~whole_chunk() override { home_->unpin(chunk_); }
        [[nodiscard]] bool alone() const noexcept override { return false; }
        void give_up(fate) noexcept override {}
        [[nodiscard]] bool resize_itself(std::size_t size) override {
            failure about;
            about.operation = "resize";
            about.block = name();
            about.bytes = size;
            about.remedy = "it is the memory of a pool, which lives in it";
            throw not_supported{std::move(about)};
        }

      private:
        std::shared_ptr<pool_state> home_;
        pool_chunk& chunk_;
    };

    const std::lock_guard guard{mutex_};
    for (const auto& each : chunks_) {
        if (usable() && each->memory->with_memory([&](device::memory& memory) { return memory.is(identity); })) {
            // Only now, for where it is the last, its end would call the service, in the midst of which this is.
            std::shared_ptr<pool_state> home = weak_from_this().lock();
            if (!home) {
                return nullptr; // it is being destroyed
            }
            auto made = std::make_shared<whole_chunk>(std::move(home), *each);
            ++each->pins;
            return made;
        }
    }
    return nullptr;
}

void pool_state::unpin(pool_chunk& chunk) noexcept {
    if (mode_.load(std::memory_order_relaxed) != mode::forked) {
        const std::lock_guard guard{mutex_};
        --chunk.pins;
    }
}

// ---- the pool's life

void pool_state::close() noexcept {
    if (mode_.load(std::memory_order_relaxed) == mode::forked) {
        return;
    }
    if (usable()) {
        set_mode(mode::closed);
    }
    drain();
}

void pool_state::stop(fate why) noexcept {
    if (usable()) {
        set_mode(mode::stopped);
    }
    const std::lock_guard guard{mutex_};
    for (const auto& each : chunks_) {
        each->memory->release_and_unmap(why); // blocks that live keep the object
    }
}

void pool_state::abandon() noexcept {
    // Another thread of the parent may have held any lock and been in the middle of anything: all stays as it is.
    mode_.store(mode::forked, std::memory_order_relaxed);
    for (const auto& each : chunks_) {
        each->memory->abandon();
    }
}

} // namespace vcsm::detail
