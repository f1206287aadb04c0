#include "ring.hpp"

#include "service.hpp"
#include "without_gil.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <unordered_map>
#include <utility>
#include <vector>

#include <unistd.h>

namespace vcsm::python {

namespace {

// How long Ctrl-C may take to be seen by who waits.
constexpr std::chrono::milliseconds between_signals{100};

} // namespace

// Everything below the mutex, which is never held while the GIL is waited for; so it may be taken with the GIL held.
struct ring::state {
    state(std::size_t blocks, std::size_t size, const std::string& name, block_options options)
        : blocks{blocks, size, name, options}, owner{::getpid()} {
        // Each once around, to learn where they are.
        for (std::size_t i = 0; i < blocks; ++i) {
            order.push_back(this->blocks.acquire());
            number_of.emplace(order.back(), i);
            this->blocks.submit();
            this->blocks.release();
        }
    }

    /// Wakes all who wait; the blocks that were passed on can still be received.
    void close() noexcept;

    vcsm::ring blocks;
    std::vector<shared_memory*> order;
    std::unordered_map<const shared_memory*, std::size_t> number_of;
    const pid_t owner;

    std::mutex mutex;
    std::condition_variable changed;
    bool closed = false;
    std::size_t acquired = 0;
    std::size_t received = 0;
    std::size_t newest = 0;              // of those that were acquired
    std::optional<std::size_t> put_back; // the newest, where the ring gave it and its user gave it back
};

ring::ring(std::size_t blocks, std::size_t size, std::string name, const std::string& cache, std::size_t alignment)
    : name_{std::move(name)} {
    const block_options options{parse_cache_mode(cache), alignment};
    const without_gil others_run;
    // The child of a fork leaves it: others may have been waiting, for whom the end of what they wait for would wait.
    state_ = {new state{blocks, size, name_, options}, [](const state* ended) {
                  if (ended->owner == ::getpid()) {
                      delete ended;
                  }
              }};
}

ring::~ring() {
    // Objects of its blocks may be in use still: only free() takes them away.
    std::shared_ptr<state> ending = std::move(state_);
    const without_gil others_run;
    ending.reset();
}

std::shared_ptr<ring::state> ring::open() const {
    if (state_ == nullptr || state_->owner != ::getpid()) {
        failure about;
        about.operation = "use ring \"" + name_ + '"';
        about.remedy = state_ == nullptr ? "it was freed: make a new one"
                                         : "it belongs to process " + std::to_string(state_->owner) +
                                               ", which this one was forked from: make a new one here";
        throw no_block{std::move(about)};
    }
    return state_;
}

std::unique_ptr<block> ring::object_of(std::size_t number) const {
    const std::shared_ptr<state> of = open();
    return std::make_unique<block>(std::shared_ptr<shared_memory>{of, of->order.at(number)}, block::owner::ring);
}

std::size_t ring::in_use() const {
    return open()->blocks.in_use();
}

template <class Try>
std::optional<std::size_t> ring::take(const std::shared_ptr<state>& from, bool wait, Try&& attempt) {
    {
        const std::lock_guard alone{from->mutex};
        const std::optional<std::size_t> found = attempt();
        if (found || !wait || from->closed) {
            return found;
        }
    }
    for (;;) {
        std::optional<std::size_t> found;
        bool woken = false;
        {
            const without_gil others_run;
            std::unique_lock alone{from->mutex};
            woken = from->changed.wait_for(alone, between_signals, [&] {
                found = attempt();
                return found || from->closed;
            });
        }
        if (woken) {
            return found;
        }
        if (PyErr_CheckSignals() != 0) {
            throw nb::python_error{};
        }
    }
}

std::optional<std::size_t> ring::acquire(bool wait) const {
    const std::shared_ptr<state> from = open();
    return take(from, wait, [&]() -> std::optional<std::size_t> {
        if (from->closed) {
            return std::nullopt;
        }
        std::optional<std::size_t> found = std::exchange(from->put_back, std::nullopt);
        if (!found) {
            if (const shared_memory* const next = from->blocks.try_acquire()) {
                found = from->number_of.at(next);
            }
        }
        if (found) {
            from->newest = *found;
            ++from->acquired;
        }
        return found;
    });
}

void ring::submit() const {
    const std::shared_ptr<state> to = open();
    {
        const std::lock_guard alone{to->mutex};
        if (to->acquired == 0) {
            throw std::logic_error{"cannot submit a block of ring \"" + name_ + "\": none is acquired"};
        }
        to->blocks.submit();
        --to->acquired;
    }
    to->changed.notify_all();
}

void ring::put_back() const {
    const std::shared_ptr<state> to = open();
    const std::lock_guard alone{to->mutex};
    if (to->acquired != 1) {
        throw std::logic_error{"cannot put a block back into ring \"" + name_ + "\": " + std::to_string(to->acquired) +
                               " are acquired, not 1"};
    }
    --to->acquired;
    to->put_back = to->newest;
}

std::size_t ring::acquired() const {
    const std::shared_ptr<state> of = open();
    const std::lock_guard alone{of->mutex};
    return of->acquired;
}

std::optional<std::size_t> ring::receive(bool wait) const {
    const std::shared_ptr<state> from = open();
    return take(from, wait, [&]() -> std::optional<std::size_t> {
        const shared_memory* const next = from->blocks.try_receive();
        if (next == nullptr) {
            return std::nullopt;
        }
        ++from->received;
        return from->number_of.at(next);
    });
}

void ring::release() const {
    const std::shared_ptr<state> to = open();
    {
        const std::lock_guard alone{to->mutex};
        if (to->received == 0 && to->blocks.in_use() == 0) {
            throw std::logic_error{"cannot release a block of ring \"" + name_ + "\": none is in use"};
        }
        to->blocks.release();
        to->received -= to->received > 0 ? 1 : 0;
    }
    to->changed.notify_all();
}

std::size_t ring::received() const {
    const std::shared_ptr<state> of = open();
    const std::lock_guard alone{of->mutex};
    return of->received;
}

void ring::state::close() noexcept {
    {
        const std::lock_guard alone{mutex};
        closed = true;
    }
    changed.notify_all();
}

void ring::close() const {
    if (state_ != nullptr) {
        open()->close();
    }
}

bool ring::closed() const {
    if (state_ == nullptr || state_->owner != ::getpid()) {
        return true;
    }
    const std::lock_guard alone{state_->mutex};
    return state_->closed;
}

void ring::free() noexcept {
    std::shared_ptr<state> ending = std::move(state_);
    if (ending == nullptr) {
        return;
    }
    const without_gil others_run;
    if (ending->owner == ::getpid()) {
        ending->close();
        for (const shared_memory* const each : ending->order) {
            if (const detail::reference& held = *detail::inside::of(*each); held.alive()) {
                detail::service::instance().free(held.handle());
            }
        }
    }
    ending.reset();
}

void define_ring(nb::module_& module) {
    nb::class_<ring>(module, "Ring")
        .def(nb::init<std::size_t, std::size_t, std::string, const std::string&, std::size_t>(), nb::arg("blocks"),
             nb::arg("size"), nb::arg("name"), nb::arg("cache"), nb::arg("alignment"))
        .def("object_of", &ring::object_of, nb::arg("number"))
        .def("acquire", &ring::acquire, nb::arg("wait"))
        .def("submit", &ring::submit)
        .def("put_back", &ring::put_back)
        .def("receive", &ring::receive, nb::arg("wait"))
        .def("release", &ring::release)
        .def("close", &ring::close)
        .def("free", &ring::free)
        .def_prop_ro("acquired", &ring::acquired)
        .def_prop_ro("received", &ring::received)
        .def_prop_ro("in_use", &ring::in_use)
        .def_prop_ro("closed", &ring::closed)
        .def_prop_ro("freed", &ring::freed);
}

} // namespace vcsm::python
