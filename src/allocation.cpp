#include "allocation.hpp"

#include "copy.hpp"
#include "log.hpp"
#include "own_process.hpp"
#include "refusal.hpp"

#include <cerrno>
#include <utility>

namespace vcsm::detail {

void throw_no_block(fate what, const std::string& block, pid_t owner) {
    failure about;
    about.operation = "use";
    about.block = block;
    switch (what) {
    case fate::alive:
    case fate::freed:
        about.remedy = "it is empty, was freed, or was moved to another object: make a new one";
        break;
    case fate::stopped:
        about.remedy = "it was freed when the service was stopped: make a new one";
        break;
    case fate::forked:
        about.remedy = "it belongs to process " + std::to_string(owner) +
                       ", which this one was forked from: export it there, and import it here";
        break;
    }
    throw no_block{std::move(about)};
}

allocation::allocation(std::shared_ptr<device::device> from, std::unique_ptr<device::memory> memory, std::string name,
                       std::size_t alignment)
    : device_{std::move(from)}, memory_{std::move(memory)}, name_{std::move(name)}, data_{memory_->data()},
      capacity_{memory_->capacity()}, granted_{memory_->granted_cache()}, alignment_{alignment}, owner_{own_process()},
      locks_at_once_{memory_->accesses_at_once()} {
    if (guard::wanted()) {
        data_.store(memory_->map(), std::memory_order_relaxed); // what is guarded is closed from the start
        guard_ = guard::over(mapped(), capacity_, name_);
        locks_at_once_ = false;
    }
}

allocation::allocation(const allocation& gone, fate why)
    : name_{gone.name_}, data_{nullptr}, capacity_{0}, granted_{gone.granted_},
      alignment_{gone.alignment_}, owner_{gone.owner_}, fate_{why} {}

allocation::~allocation() = default;

device::device& allocation::from() const {
    if (!device_) {
        throw_what_became();
    }
    return *device_;
}

void allocation::throw_what_became() const {
    throw_no_block(what_became(), name_, owner_);
}

unsigned allocation::locks() const {
    if (what_became() == fate::forked) {
        return 0;
    }
    const std::lock_guard alone{mutex()};
    return locks_;
}

void allocation::rethrow(const char* operation) const {
    failure about;
    about.operation = operation;
    about.device = device_->name();
    about.block = name_;
    about.bytes = capacity_;
    rethrow_about(std::move(about));
}

void allocation::begin(access_kind kind) {
    throw_unless_alive();
    const std::lock_guard alone{mutex()};
    begin_locked(kind);
}

void allocation::begin_guarded(access_kind kind) {
    try {
        const guard_open open{guard_.get()};
        begin_access_locked(kind);
        ++locks_;
        guard_->count_lock(kind != access_kind::read);
    } catch (...) {
        rethrow("lock");
    }
}

void allocation::end(access_kind kind) {
    if (what_became() == fate::forked) {
        return; // the lock was the parent's
    }
    const std::lock_guard alone{mutex()};
    end_locked(kind);
}

void allocation::end_guarded(access_kind kind, bool clean) {
    guard_->count_unlock(kind != access_kind::read);
    try {
        const guard_open open{guard_.get()}; // cleaning reads what the lock could not, after a mere read lock
        end_access_locked(kind, clean);
    } catch (...) {
        rethrow("unlock");
    }
}

void allocation::throw_if_locked() const {
    if (locks_ > 0) {
        failure about;
        about.operation = "move";
        about.device = device_->name();
        about.block = name_;
        about.bytes = capacity_;
        about.remedy = "it is locked: end its locks first";
        throw error{EBUSY, std::move(about)};
    }
}

std::byte* allocation::map_memory_locked() {
    try {
        return memory_->map();
    } catch (...) {
        rethrow("map");
    }
}

void allocation::copy_to(allocation& another, std::size_t offset, std::size_t bytes) {
    // Also what no CPU has looked at: VideoCore may have written into it. It counts as mapped no more than before:
    // nobody was told of its address, and if this fails, the first to look must still be the one who tells.
    std::byte* const source = map_memory_locked() + offset;
    std::byte* const target = another.map();
    begin_locked(access_kind::read);
    try {
        another.begin_locked(access_kind::write); // without its mutex: it is new, and nobody else knows it yet
        copy_bytes(target, source, bytes);
        another.end_locked(access_kind::write);
    } catch (...) {
        end_locked(access_kind::read);
        throw;
    }
    end_locked(access_kind::read);
}

void allocation::release(fate why) noexcept {
    const std::lock_guard alone{mutex()};
    fate expected = fate::alive;
    if (fate_.compare_exchange_strong(expected, why, std::memory_order_acq_rel)) {
        let_go_locked(why);
    }
}

void allocation::let_go_locked(fate why) noexcept {
    guard_.reset();
    const bool unused = locks_ == 0 && pins_ == 0;
    if (spares_ == nullptr || why != fate::freed || !unused || !spares_->keep(memory_, kind_)) {
        memory_->release();
    }
}

void allocation::release_and_unmap(fate why) noexcept {
    release(why);
    const std::lock_guard alone{mutex()};
    unmaps_ = true;
    unmap_if_unused();
}

void allocation::unmap_if_unused() noexcept {
    if (unmaps_ && locks_ == 0 && pins_ == 0) {
        memory_.reset();
    }
}

void allocation::pin() noexcept {
    const std::lock_guard alone{mutex()};
    ++pins_;
}

void allocation::unpin() noexcept {
    if (what_became() == fate::forked) {
        return;
    }
    const std::lock_guard alone{mutex()};
    --pins_;
    unmap_if_unused();
}

void allocation::abandon() noexcept {
    fate expected = fate::alive;
    if (fate_.compare_exchange_strong(expected, fate::forked, std::memory_order_acq_rel)) {
        if (guard_) {
            guard_->forget();
        }
        memory_->abandon();
    }
}

held_lock::held_lock(std::shared_ptr<allocation> locked, access_kind kind) : kind_{kind} {
    locked->begin(kind);
    locked_ = std::move(locked);
}

void held_lock::unlock() {
    if (const std::shared_ptr<allocation> ending = std::move(locked_)) {
        ending->end(kind_);
    }
}

void held_lock::drop() noexcept {
    try {
        unlock();
    } catch (const std::exception& failed) {
        log::error(failed.what());
    }
}

} // namespace vcsm::detail
