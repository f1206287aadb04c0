// Holds and locks that no object carries: the part of the service that C's face stands on.
#include "service.hpp"

#include "device/choose.hpp"
#include "kernel/syscalls.hpp"
#include "log.hpp"
#include "refusal.hpp"

#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

#include <sys/mman.h>

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

void service::throw_not_ended(unlocking result, std::uint32_t handle) {
    if (result == unlocking::no_handle) {
        throw_no_handle(handle);
    }
    failure about;
    about.operation = "unlock a block";
    about.remedy = "it is not locked, or its locks are those of objects, which end them";
    throw error{EPERM, std::move(about)};
}

void service::unlock_another_of(unlocking result, std::uint32_t handle, bool clean) {
    if (result == unlocking::no_handle) {
        throw std::invalid_argument{"the address is in no block"};
    }
    for (const std::uint32_t other : registry_.others_of(handle)) {
        if (end_bare_lock(other, clean) == unlocking::done) {
            return;
        }
    }
    throw_not_ended(result, handle);
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
        auto another = make_allocation(device_, changed.size(), changed.name(), {wanted, old->alignment()}, "change",
                                       old->recycles() ? freeing::to_next : freeing::to_driver);
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

cache_mode service::granted_cache(std::uint32_t handle) const {
    cache_mode granted{};
    if (!registry_.with_memory(handle, [&](reference&, allocation& memory) { granted = memory.granted_cache(); })) {
        throw_no_handle(handle);
    }
    return granted;
}

template <class Ask>
auto service::hand_out(std::uint32_t handle, const char* operation, Ask&& ask) {
    std::optional<decltype(ask(std::declval<device::memory&>(), std::declval<const block&>()))> given;
    const bool known = registry_.with_memory(handle, [&](reference& which, allocation& memory) {
        try {
            const guard_open open{memory.locked_guard()};
            given.emplace(ask(memory.locked_memory(), std::as_const(*which.shared())));
            which.shared()->handed_out = true;
        } catch (...) {
            failure about;
            about.operation = operation;
            about.device = memory.from().name();
            about.block = which.shared()->name();
            rethrow_about(std::move(about));
        }
    });
    if (!known) {
        throw_no_handle(handle);
    }
    return std::move(*given);
}

namespace {

// What stands for a whole allocation says nothing about a block in the middle of it: its taker would read a neighbour.
void throw_unless_first(const block& which) {
    if (which.offset() > 0) {
        failure about;
        about.remedy =
            "it lies " + std::to_string(which.offset()) +
            " bytes behind the start of its pool's memory: take its bus address, or location() in C++ or Python";
        throw not_supported{std::move(about)};
    }
}

} // namespace

std::uint32_t service::videocore_handle(std::uint32_t handle) {
    return hand_out(handle, "give the VideoCore handle of", [&](device::memory& memory, const block& which) {
        throw_unless_first(which);
        const std::uint32_t given = memory.videocore_handle();
        registry_.remember_videocore_handle(handle, given);
        return given;
    });
}

std::uint64_t service::bus_address(std::uint32_t handle) {
    return hand_out(handle, "give the bus address of",
                    [](device::memory& memory, const block& which) { return memory.bus_address() + which.offset(); });
}

int service::export_dmabuf(std::uint32_t handle) {
    return hand_out(handle, "export",
                    [](device::memory& memory, const block& which) {
                        throw_unless_first(which);
                        kernel::unique_fd exported = kernel::duplicate(memory.dmabuf());
                        which.locked_memory()->never_recycle();
                        return exported;
                    })
        .release();
}

device::strided_range service::range_in(std::uint32_t handle, std::uintptr_t first, std::size_t bytes,
                                        std::size_t count, std::size_t stride) const {
    std::optional<device::strided_range> found;
    const bool known = registry_.with_memory(handle, [&](reference& which, allocation& memory) {
        const block& of = *which.shared();
        // A block that has its allocation for itself has its last page to the end.
        const bool alone = kernel::round_up_to_pages(of.locked_size()) == memory.capacity();
        const std::size_t there = alone ? memory.capacity() : of.locked_size();
        const auto start = reinterpret_cast<std::uintptr_t>(memory.mapped()) + of.offset();
        if (memory.mapped() == nullptr || first < start || first - start > there) {
            return;
        }
        // All below 2^32, so that the sum fits into 64 bits.
        const std::uint64_t reach = count == 0 ? 0 : std::uint64_t{stride} * (count - 1) + bytes;
        if (reach <= there - (first - start)) {
            found = device::strided_range{first - start + of.offset(), bytes, count, stride};
        }
    });
    if (!known) {
        throw_no_handle(handle);
    }
    if (!found) {
        throw std::invalid_argument{std::to_string(count) + " times " + std::to_string(bytes) +
                                    " bytes reach out of the block of handle " + std::to_string(handle)};
    }
    return *found;
}

void service::maintain(std::uint32_t handle, const device::strided_range& which, bool clean, bool forget) {
    if (which.bytes == 0 || which.count == 0) {
        return;
    }
    const bool known = registry_.with_memory(handle, [&](reference&, allocation& memory) {
        // Another thread may have resized the block since the range was looked at.
        const std::uint64_t reach = which.offset + std::uint64_t{which.stride} * (which.count - 1) + which.bytes;
        if (reach <= memory.capacity()) {
            const guard_open open{memory.locked_guard()};
            memory.locked_memory().maintain(which, clean, forget);
        }
    });
    if (!known) {
        throw_no_handle(handle);
    }
}

std::byte* service::address(std::uint32_t handle) {
    std::byte* found = registry_.address_of(handle);
    if (found == nullptr) { // not mapped yet, if it is a block at all
        registry_.with_memory(
            handle, [&](reference& which, allocation& memory) { found = which.shared()->map_locked(memory); });
    }
    return found;
}

void service::populate(std::uint32_t handle) {
    // A kernel that cannot (before 5.14), or no memory left for it: then the pages come with the first touch.
    registry_.with_memory(handle, [](reference& which, allocation& memory) {
        std::byte* const first = which.shared()->map_locked(memory);
        (void)kernel::retried([&] { return kernel::system().madvise(first, memory.capacity(), MADV_POPULATE_WRITE); });
    });
}

} // namespace vcsm::detail
