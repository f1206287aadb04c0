#include "service.hpp"

#include "device/choose.hpp"
#include "device/simulated.hpp"
#include "forked_mutex.hpp"
#include "keep.hpp"
#include "log.hpp"
#include "own_process.hpp"
#include "refusal.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <pthread.h>
#include <sys/stat.h>

namespace vcsm::detail {

namespace {

// That which before_fork() locked, for what comes after; in this thread, for several may fork at once.
thread_local service* held_over_fork = nullptr;

bool registered(int result, const char* call) {
    if (result != 0) {
        failure about;
        about.operation = "start the service";
        about.remedy = std::string{call} + "() has no memory for what must be done then: free some";
        throw error{ENOMEM, std::move(about)};
    }
    return true;
}

} // namespace

constinit std::atomic<service*> service::the_one{nullptr};

service& service::make_instance() {
    static service* const own = new service;
    the_one.store(own, std::memory_order_release);
    return *own;
}

service::service() {
    // Each once a process, also where an earlier attempt failed in between.
    static const bool at_forks =
        registered(::pthread_atfork(&before_fork, &after_fork_in_parent, &after_fork_in_child), "pthread_atfork");
    static const bool at_exit = registered(std::atexit([] { stop_service(); }), "atexit");
    static_cast<void>(at_forks && at_exit);
}

void service::start_locked() {
    if (!device_) {
        run_on(preferred_.empty() ? device::choose() : device::open(preferred_));
    }
}

void service::run_on(std::shared_ptr<device::device> opened) {
    const std::string sentence = "service started on " + std::string{opened->name()}; // may throw: before it runs
    device_ = std::move(opened);
    ++run_;
    holders_ = 0;
    bare_holders_ = 0;
    log::info(sentence);
}

void service::start() {
    const std::unique_lock guard{operations_};
    start_locked();
}

std::vector<std::shared_ptr<reference>> service::stop_locked() noexcept {
    std::vector<std::shared_ptr<reference>> all = registry_.remove_all(fate::stopped);
    for (const auto& ended : all) {
        ended->shared()->give_up(fate::stopped);
    }
    for (memory_owner* const owner : owners_) {
        owner->stop(fate::stopped);
    }
    spares_.release_all();
    device_->close();
    device_.reset();
    holders_ = 0;
    bare_holders_ = 0;
    return all;
}

void service::stop() noexcept {
    std::vector<std::shared_ptr<reference>> ended;
    const std::unique_lock guard{operations_};
    if (device_) {
        ended = stop_locked();
        log::info("service stopped");
    }
}

bool service::running() const noexcept {
    const std::shared_lock guard{operations_};
    return device_ != nullptr;
}

std::shared_ptr<device::device> service::open_device() const {
    const std::shared_lock guard{operations_};
    return device_;
}

void service::use(std::string_view device) {
    const std::unique_lock guard{operations_};
    if (device_ && device_->name() == device) {
        preferred_ = device;
        return;
    }
    if (device_ && !(registry_.empty() && owners_.empty())) {
        failure about;
        about.operation = "use " + std::string{device};
        about.device = device_->name();
        about.remedy = "blocks or pools live on it: free them or stop the service first";
        throw error{EBUSY, std::move(about)};
    }
    std::string wanted{device};
    auto opened = device::open(device);
    if (device_) {
        spares_.release_all();
        device_ = std::move(opened); // those who hold the service hold it on
    } else {
        run_on(std::move(opened));
    }
    preferred_ = std::move(wanted);
}

std::uint64_t service::hold() {
    const std::unique_lock guard{operations_};
    start_locked();
    ++holders_;
    return run_;
}

void service::let_go(std::uint64_t run) noexcept {
    std::vector<std::shared_ptr<reference>> ended;
    const std::unique_lock guard{operations_};
    if (device_ && run == run_ && holders_ > 0) {
        ended = let_go_locked();
    }
}

std::vector<std::shared_ptr<reference>> service::let_go_locked() noexcept {
    if (--holders_ > 0) {
        return {};
    }
    auto ended = stop_locked();
    log::info("service stopped by the last that held it");
    return ended;
}

template <class Make>
auto service::with_device(Make&& make, starting how) {
    for (;;) {
        {
            const std::shared_lock guard{operations_};
            if (device_) {
                return make(device_);
            }
        }
        if (how == starting::never) {
            failure about;
            about.operation = "use VideoCore memory";
            about.remedy = "the service does not run: start it first";
            throw error{ENODEV, std::move(about)};
        }
        start(); // and look again: somebody may stop it in between
    }
}

std::shared_ptr<allocation> service::make_allocation(const std::shared_ptr<device::device>& from, std::size_t size,
                                                     std::string_view name, const block_options& options,
                                                     const char* operation, freeing later) {
    if (size == 0) {
        throw std::invalid_argument{"cannot " + std::string{operation} + " block \"" + std::string{name} +
                                    "\": a block has at least 1 byte"};
    }
    if (options.alignment == 0 || (options.alignment & (options.alignment - 1)) != 0) {
        throw std::invalid_argument{"cannot " + std::string{operation} + " block \"" + std::string{name} +
                                    "\": an alignment of " + std::to_string(options.alignment) +
                                    " bytes is no power of two"};
    }
    if (size > from->max_bytes()) {
        throw std::length_error{"cannot " + std::string{operation} + " block \"" + std::string{name} + "\" of " +
                                std::to_string(size) + " bytes on " + std::string{from->name()} +
                                ": its largest block has " + std::to_string(from->max_bytes()) + " bytes"};
    }
    const spare_kind kind{kernel::round_up_to_pages(size), options.cache, options.alignment};
    try {
        std::shared_ptr<allocation> made;
        if (later == freeing::to_next) {
            made = make_recycled(from, kind, name);
        }
        if (!made) {
            made = std::make_shared<allocation>(
                from, allocate_on(*from, {size, std::string{name}, options.cache, options.alignment}),
                std::string{name}, options.alignment);
        }
        if (later == freeing::to_next) {
            made->recycle(spares_, kind);
        }
        return made;
    } catch (...) {
        failure about;
        about.operation = operation;
        about.device = from->name();
        about.block = name;
        about.bytes = size;
        rethrow_about(std::move(about));
    }
}

std::unique_ptr<device::memory> service::allocate_on(device::device& from, const device::request& wanted) {
    try {
        return from.allocate(wanted);
    } catch (const out_of_memory&) {
        if (spares_.release_all() == 0) {
            throw;
        }
    }
    return from.allocate(wanted);
}

std::shared_ptr<allocation> service::make_recycled(const std::shared_ptr<device::device>& from, const spare_kind& kind,
                                                   std::string_view name) {
    std::unique_ptr<device::memory> spare = spares_.take(kind);
    if (!spare) {
        return nullptr;
    }
    auto made = std::make_shared<allocation>(from, std::move(spare), std::string{name}, kind.alignment);
    // As the driver's memory is: zero, for the CPU and for VideoCore.
    std::byte* const address = made->map();
    held_lock held{made, access_kind::overwrite};
    std::memset(address, 0, made->capacity());
    held.unlock();
    return made;
}

std::shared_ptr<reference> service::allocate(std::size_t size, std::string_view name, const block_options& options,
                                             starting how, freeing later) {
    return with_device(
        [&](const std::shared_ptr<device::device>& from) {
            auto memory = make_allocation(from, size, name, options, "allocate", later);
            return registry_.enter(std::make_shared<block>(std::move(memory), 0, size, std::string{name}));
        },
        how);
}

void service::enter(memory_owner& owner) {
    const std::shared_lock guard{operations_};
    const std::lock_guard own{owners_mutex_};
    owners_.push_back(&owner);
}

std::size_t service::owners() const {
    const std::shared_lock guard{operations_};
    const std::lock_guard own{owners_mutex_};
    return owners_.size();
}

void service::leave(const memory_owner& owner, const std::function<void()>& last) noexcept {
    const std::shared_lock guard{operations_};
    const std::lock_guard own{owners_mutex_};
    last();
    owners_.erase(std::remove(owners_.begin(), owners_.end(), &owner), owners_.end());
}

void service::allocate_memory(memory_owner& owner, std::size_t size, std::string_view name,
                              const block_options& options) {
    with_device([&](const std::shared_ptr<device::device>& from) {
        const std::shared_ptr<allocation> made = make_allocation(from, size, name, options, "allocate");
        try {
            (void)made->map(); // the blocks in it have their addresses from the start
            owner.adopt(made);
        } catch (...) {
            made->release(fate::freed);
            throw;
        }
    });
}

std::uint32_t service::name(const std::shared_ptr<reference>& unnamed) {
    const std::shared_lock guard{operations_};
    (void)unnamed->get();
    return registry_.name(unnamed);
}

namespace {

void throw_if_less(std::size_t there, std::size_t wanted) {
    if (wanted > there) {
        throw std::length_error{"cannot import " + std::to_string(wanted) + " bytes of a dma-buf that has " +
                                std::to_string(there)};
    }
}

} // namespace

std::shared_ptr<reference> service::own_block_of(int descriptor, std::size_t size,
                                                 std::vector<std::shared_ptr<reference>>& looked_at) {
    const std::optional<device::file_identity> wanted = device::identity_of(descriptor);
    if (!wanted) {
        return nullptr;
    }
    looked_at = registry_.all();
    for (const auto& known : looked_at) {
        try {
            const auto same =
                known->shared()->memory()->with_memory([&](device::memory& memory) { return memory.is(*wanted); });
            if (same && known->shared()->alone()) { // a pool's blocks are parts of what is imported
                throw_if_less(known->shared()->size(), size);
                return share_locked(*known);
            }
        } catch (const no_block&) { // freed since it was listed
        }
    }
    const std::lock_guard own{owners_mutex_};
    for (memory_owner* const owner : owners_) {
        if (auto whole = owner->block_showing(*wanted)) {
            throw_if_less(whole->size(), size);
            return registry_.enter(std::move(whole));
        }
    }
    return nullptr;
}

std::shared_ptr<reference> service::import_dmabuf(int descriptor, std::string_view name, std::size_t size,
                                                  starting how) {
    if (descriptor < 0) {
        throw std::invalid_argument{"cannot import a dma-buf: " + std::to_string(descriptor) + " is no descriptor"};
    }
    // Some may have no other owner any more, and end here: not while operations_ is held, which they might take too.
    std::vector<std::shared_ptr<reference>> looked_at;
    const auto import = [&](const std::shared_ptr<device::device>& from) {
        if (auto own = own_block_of(descriptor, size, looked_at)) {
            // The driver is not asked: it would give an import of its own block, on which a lock crashes the kernel.
            return own;
        }
        failure about;
        about.operation = "import a dma-buf as";
        about.device = from->name();
        about.block = name;
        try {
            auto memory = std::make_shared<allocation>(from, from->import_dmabuf(descriptor, std::string{name}),
                                                       std::string{name});
            const std::size_t there = memory->capacity();
            if (size > there) {
                memory->release(fate::freed);
            }
            throw_if_less(there, size);
            return registry_.enter(
                std::make_shared<block>(std::move(memory), 0, size == 0 ? there : size, std::string{name}));
        } catch (const std::length_error&) {
            throw;
        } catch (...) {
            rethrow_about(std::move(about));
        }
    };
    return with_device(import, how);
}

std::shared_ptr<reference> service::share(const reference& of) {
    const std::shared_lock guard{operations_};
    return share_locked(of);
}

std::shared_ptr<reference> service::share_locked(const reference& of) {
    block& which = of.get();
    if (of.handle() == 0) {
        registry_.name(which.unnamed());
    }
    auto another = registry_.enter_another(which.shared_from_this());
    if (!another) {
        throw_no_block(fate::freed, of.shared()->name(), own_process());
    }
    return another;
}

void service::move(block& which, std::shared_ptr<allocation> another, std::size_t size, bool handed_out_too,
                   const std::function<void(device::memory&)>& check) {
    const std::shared_ptr<allocation> old = which.memory();
    try {
        old->move_to(
            *another, which.offset(), std::min(which.size(), size),
            [&](device::memory& memory) {
                if (which.handed_out && !handed_out_too) {
                    throw error{EBUSY, {}};
                }
                check(memory);
            },
            [&] { (void)registry_.move(which, another, size); });
    } catch (...) {
        another->release(fate::freed);
        throw;
    }
}

void service::resize(const reference& of, std::size_t size) {
    if (of.get().resize_itself(size)) {
        return;
    }
    const std::shared_lock guard{operations_};
    block& which = of.get();
    const std::shared_ptr<allocation> old = which.memory();
    try {
        move(which,
             make_allocation(device_, size, which.name(), {old->granted_cache(), old->alignment()}, "resize",
                             old->recycles() ? freeing::to_next : freeing::to_driver),
             size, true, [&](device::memory& memory) { device_->before_resize(memory, size); });
    } catch (...) {
        failure about;
        about.operation = "resize";
        about.device = device_->name();
        about.block = which.name();
        about.bytes = size;
        rethrow_about(std::move(about));
    }
}

bool service::free(std::uint32_t handle) noexcept {
    std::shared_ptr<reference> ended; // goes when the lock is not held any more: a pool may give memory back with it
    const std::shared_lock guard{operations_};
    bool last = false;
    ended = registry_.remove(handle, fate::freed, last);
    if (!ended) {
        return false;
    }
    if (last && !ended->pooled()) {
        // Nobody can come by it any more where this is all that holds the block: then it ends with this function, and
        // nothing has to stand in for its memory.
        if (ended.use_count() == 1 && ended->shared().use_count() == 1) {
            ended->shared()->locked_memory()->release(fate::freed);
        } else {
            ended->shared()->give_up(fate::freed);
        }
        return true;
    }
    // Its locks end with it. Its mutex is taken in any case: others may be looking at the handle under it.
    const std::shared_ptr<allocation> memory = ended->shared()->memory();
    const std::lock_guard locked{memory->mutex()};
    for (; ended->bare_locks > 0; --ended->bare_locks) {
        try {
            memory->end_locked(access_kind::write);
        } catch (const std::exception& failed) {
            log::error(failed.what());
        }
    }
    return true;
}

void service::before_fork() {
    held_over_fork = if_there();
    if (held_over_fork != nullptr) {
        held_over_fork->operations_.lock();
        held_over_fork->registry_.lock_for_fork();
    }
}

void service::after_fork_in_parent() {
    if (held_over_fork != nullptr) {
        held_over_fork->registry_.unlock_in_parent();
        held_over_fork->operations_.unlock();
    }
}

void service::after_fork_in_child() {
    renew_own_process_in_child();
    if (held_over_fork == nullptr) {
        return;
    }
    service& own = *held_over_fork;
    lasting_mutex::renew_in_child();
    for (memory_owner* const owner : own.owners_) {
        owner->abandon();
    }
    own.owners_.clear();
    own.registry_.forget_in_child();
    own.spares_.abandon();
    if (own.device_) {
        own.device_->abandon();
        // Its destructor may need what another thread of the parent held at that moment: it stays as it is.
        keep_for_ever(std::move(own.device_));
    }
    device::abandon_simulated_videocore();
    own.holders_ = 0;
    own.bare_holders_ = 0;
    ++own.run_;
    renew_in_child(own.operations_);
}

} // namespace vcsm::detail
