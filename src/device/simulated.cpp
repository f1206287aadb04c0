#include "device/simulated.hpp"

#include "keep.hpp"
#include "kernel/lasting.hpp"

#include <atomic>
#include <cerrno>
#include <mutex>
#include <stdexcept>

#include <unistd.h>

namespace vcsm::device {

namespace {

using videocore::operation;

// For faults that count "the first try of every call": calls of different threads are different calls.
std::uint64_t this_thread() noexcept {
    static std::atomic<std::uint64_t> threads{0};
    static thread_local const std::uint64_t number = ++threads;
    return number;
}

// 0 or the errno; interrupted tries are repeated, as they are with a kernel.
int attempt(videocore::faults& on_demand, operation what) noexcept {
    for (;;) {
        const int result = on_demand.next(what, this_thread());
        if (result != EINTR && result != EAGAIN) {
            return result;
        }
    }
}

void attempt_or_throw(videocore::faults& on_demand, operation what) {
    if (const int refused = attempt(on_demand, what); refused != 0) {
        throw std::system_error{refused, std::generic_category(), std::string{to_string(what)}};
    }
}

class simulated_memory final : public memory {
  public:
    simulated_memory(std::shared_ptr<videocore::model> home, std::shared_ptr<videocore::block> held)
        : memory{held->bytes().cpu().data(), held->capacity(), held->about().cache}, home_{std::move(home)},
          held_{std::move(held)} {}

    ~simulated_memory() override { release(); }

    void begin_own_access(direction way) override {
        attempt_or_throw(home_->on_demand(), operation::lock);
        if (held_->bytes().cached()) {
            attempt_or_throw(home_->on_demand(), operation::sync);
            held_->begin_access(way != direction::write);
        } else {
            std::atomic_thread_fence(std::memory_order_seq_cst); // as on uncached memory of a real board
        }
        held_->locks().store(1, std::memory_order_relaxed);
    }

    void end_own_access(direction way) override {
        if (way != direction::write) {
            held_->locks().store(0, std::memory_order_relaxed);
        }
        attempt_or_throw(home_->on_demand(), operation::unlock);
        if (held_->bytes().cached()) {
            attempt_or_throw(home_->on_demand(), operation::sync);
            held_->end_access(way != direction::read);
        } else {
            std::atomic_thread_fence(std::memory_order_seq_cst);
        }
    }

    // Of host-cached blocks, all bytes are moved.
    bool accesses_at_once() const noexcept override { return !held_->bytes().cached(); }

    void maintain(const strided_range& which, bool clean, bool forget) override {
        if (!held_->bytes().cached()) {
            std::atomic_thread_fence(std::memory_order_seq_cst);
            return;
        }
        attempt_or_throw(home_->on_demand(), operation::sync);
        const strided_range ranges = which.joined();
        for (std::size_t i = 0; i < ranges.count; ++i) {
            held_->maintain(ranges.offset + i * ranges.stride, ranges.bytes, clean, forget);
        }
    }

    std::uint32_t videocore_handle() const override { return held_->videocore_handle(); }
    std::uint64_t bus_address() const override { return held_->bus_address(); }

    int dmabuf() override {
        try {
            return held_->videocore_memfd();
        } catch (const std::system_error& refused) {
            failure about;
            about.operation = "export";
            if (refused.code().value() == EBUSY) {
                about.remedy = "a simulated block is exported for the first time while it is unlocked";
            }
            throw error{refused.code().value(), std::move(about)};
        }
    }

    bool is(const file_identity& other) const noexcept override {
        if (!held_->bytes().exported()) {
            return false;
        }
        try {
            return identity_of(held_->videocore_memfd()) == other;
        } catch (const std::system_error&) {
            return false;
        }
    }

    void release() noexcept override {
        if (!released_) {
            released_ = true;
            held_->locks().store(0, std::memory_order_relaxed);
            // A free that fails has freed all the same, as close(2) has; there is nobody to tell.
            (void)attempt(home_->on_demand(), operation::free);
            home_->free(held_);
            held_->bytes().close_descriptors();
        }
    }

    void abandon() noexcept override {
        released_ = true;
        held_->bytes().close_descriptors();
        // Their ends would give memory back to the parent's VideoCore, whose mutexes another thread may have held.
        detail::keep_for_ever(std::move(held_));
        detail::keep_for_ever(std::move(home_));
    }

  private:
    std::shared_ptr<videocore::model> home_;
    std::shared_ptr<videocore::block> held_;
    bool released_ = false;
};

class simulated_device final : public device {
  public:
    explicit simulated_device(std::shared_ptr<videocore::model> model) : model_{std::move(model)} {}

    std::string_view name() const noexcept override { return simulated_name; }
    capabilities gives() const noexcept override { return simulated_gives; }
    std::size_t max_bytes() const noexcept override { return simulated_max_bytes; }

    std::unique_ptr<memory> allocate(const request& wanted) override {
        return made(operation::alloc, [&] {
            return model_->allocate({wanted.bytes, wanted.name, wanted.cache, wanted.alignment});
        });
    }

    std::unique_ptr<memory> import_dmabuf(int descriptor, const std::string& name) override {
        if (videocore::bytes_of_memfd(descriptor) == 0) {
            const bool is_open = kernel::system().fcntl(descriptor, F_GETFD, 0) != -1;
            failure about;
            about.remedy = "descriptor " + std::to_string(descriptor) +
                           (is_open ? " is no block of a simulated VideoCore" : " is not open");
            throw error{is_open ? EINVAL : EBADF, std::move(about)};
        }
        return made(operation::import, [&] { return model_->import(descriptor, name, cache_mode::none); });
    }

    void before_resize(memory&, std::size_t) override { attempt_or_throw(model_->on_demand(), operation::resize); }

    void abandon() noexcept override { detail::keep_for_ever(std::move(model_)); }

  private:
    template <class Make>
    std::unique_ptr<memory> made(operation what, Make&& make) {
        std::shared_ptr<videocore::block> block;
        try {
            attempt_or_throw(model_->on_demand(), what);
            block = make();
            attempt_or_throw(model_->on_demand(), operation::map);
            return std::make_unique<simulated_memory>(model_, block);
        } catch (const std::system_error& refused) {
            if (block) {
                model_->free(block);
            }
            failure about;
            if (refused.code().value() == ENOMEM) {
                const videocore::room room = model_->room();
                about.remedy = std::to_string(room.free) + " of " + std::to_string(room.total) +
                               " bytes are free, the largest piece has " + std::to_string(room.largest) +
                               ": free blocks, or give the simulated VideoCore more with VCSM_SIM_MEMORY";
            }
            throw_error(refused.code().value(), std::move(about));
        } catch (...) {
            if (block) {
                model_->free(block);
            }
            throw;
        }
    }

    std::shared_ptr<videocore::model> model_;
};

// Blocks may outlive main().
constinit kernel::lasting<std::mutex> model_mutex; // of the next
constinit kernel::lasting<std::shared_ptr<videocore::model>> the_model;

} // namespace

std::shared_ptr<videocore::model> simulated_videocore() {
    const std::lock_guard guard{model_mutex.own};
    if (!the_model.own) {
        failure about;
        about.operation = "make a simulated VideoCore";
        try {
            the_model.own = videocore::model::make(videocore::model::options_from_environment());
        } catch (const std::invalid_argument& refused) {
            about.remedy = refused.what();
            throw error{EINVAL, std::move(about)};
        } catch (const std::system_error& refused) {
            throw_error(refused.code().value(), std::move(about));
        }
    }
    return the_model.own;
}

bool simulated_exists() noexcept {
    const std::lock_guard guard{model_mutex.own};
    return the_model.own != nullptr;
}

void forget_simulated_videocore() noexcept {
    const std::lock_guard guard{model_mutex.own};
    the_model.own.reset();
}

void abandon_simulated_videocore() noexcept {
    // The mutex may be held by a thread that this process does not have. A child has one thread: it needs none here.
    new (&model_mutex.own) std::mutex;
    if (the_model.own) {
        the_model.own->abandon();
        detail::keep_for_ever(std::move(the_model.own));
    }
}

std::shared_ptr<device> open_simulated() {
    return std::make_shared<simulated_device>(simulated_videocore());
}

} // namespace vcsm::device
