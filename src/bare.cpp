// Holds and locks that no object carries: the part of the service that C's face stands on.
#include "service.hpp"

#include "device/choose.hpp"
#include "log.hpp"

#include <cerrno>
#include <stdexcept>
#include <string>

namespace vcsm::detail {

void service::throw_no_handle(std::uint32_t handle) {
    throw std::invalid_argument{"handle " + std::to_string(handle) +
                                " is none: it was never given, was freed, or its service was stopped"};
}

void service::hold_bare(bool with_export, int descriptor) {
    const std::unique_lock guard{operations_};
    const bool was_running = device_ != nullptr;
    if (!was_running) {
        if (descriptor >= 0) {
            run_on(device::adopt(descriptor));
        } else {
            start_locked();
        }
    }
    if (with_export && !device_->gives().dmabuf) {
        failure about;
        about.operation = "start the service with dma-buf export";
        about.device = device_->name();
        about.remedy = "this device has no dma-bufs: start it without, or use vcsm-cma or dma-heap";
        if (!was_running) {
            stop_locked();
        }
        throw not_supported{std::move(about)};
    }
    ++holders_;
    ++bare_holders_;
}

bool service::let_go_bare() noexcept {
    std::vector<std::shared_ptr<reference>> ended;
    const std::unique_lock guard{operations_};
    if (bare_holders_ == 0) {
        return false;
    }
    --bare_holders_;
    ended = let_go_locked();
    return true;
}

std::byte* service::lock(std::uint32_t handle) {
    std::byte* locked = nullptr;
    const bool known = registry_.with_memory(handle, [&](reference& which, allocation& memory) {
        memory.begin_locked(access_kind::write);
        ++which.bare_locks;
        locked = memory.data() + which.shared()->offset();
    });
    if (!known) {
        throw_no_handle(handle);
    }
    return locked;
}

namespace {

enum class ended : unsigned char { yes, was_not_locked, no_handle };

ended end_bare_lock(const registry& handles, std::uint32_t handle, bool clean) {
    ended result = ended::no_handle;
    handles.with_memory(handle, [&](reference& which, allocation& memory) {
        if (which.bare_locks == 0) {
            result = ended::was_not_locked;
            return;
        }
        result = ended::yes;
        --which.bare_locks;
        memory.end_locked(access_kind::write, clean);
    });
    return result;
}

[[noreturn]] void throw_not_locked() {
    failure about;
    about.operation = "unlock a block";
    about.remedy = "it is not locked, or its locks are those of objects, which end them";
    throw error{EPERM, std::move(about)};
}

} // namespace

void service::unlock(std::uint32_t handle, bool clean) {
    switch (end_bare_lock(registry_, handle, clean)) {
    case ended::yes:
        return;
    case ended::was_not_locked:
        throw_not_locked();
    case ended::no_handle:
        throw_no_handle(handle);
    }
}

void service::unlock_at(const void* address, bool clean) {
    const std::uint32_t handle = registry_.handle_at(address);
    switch (end_bare_lock(registry_, handle, clean)) {
    case ended::yes:
        return;
    case ended::was_not_locked:
        for (const std::uint32_t other : registry_.others_of(handle)) {
            if (end_bare_lock(registry_, other, clean) == ended::yes) {
                return;
            }
        }
        throw_not_locked();
    case ended::no_handle:
        throw std::invalid_argument{"the address is in no block"};
    }
}

cache_mode service::change_cache(std::uint32_t handle, cache_mode wanted) {
    std::shared_ptr<reference> which;
    const std::shared_lock guard{operations_};
    which = registry_.find(handle);
    if (!which) {
        throw_no_handle(handle);
    }
    block& changed = *which->shared();
    const std::shared_ptr<allocation> old = changed.memory();
    const cache_mode kept = old->granted_cache();
    // A pool's block is where it is, and so is all of a pool's memory that was imported.
    if (kept == wanted || which->pooled() || !changed.alone() || changed.handed_out || old->locks() > 0) {
        return kept;
    }
    try {
        auto another = make_allocation(device_, changed.size(), changed.name(), {wanted, old->alignment()}, "change");
        if (another->granted_cache() != wanted) {
            another->release(fate::freed);
            return kept;
        }
        move(changed, std::move(another), changed.size(), false, [](device::memory&) {});
        return wanted;
    } catch (const no_block&) {
        throw;
    } catch (const error& refused) {
        log::info(std::string{"the cache mode stays as it is: "} + refused.what());
        return changed.memory()->granted_cache();
    }
}

} // namespace vcsm::detail
