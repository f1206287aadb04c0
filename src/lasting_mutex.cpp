#include "lasting_mutex.hpp"

#include "kernel/lasting.hpp"

#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace vcsm::detail {

// On a cache line of its own, so that threads that lock different blocks do not disturb each other.
struct alignas(64) lasting_mutex::node {
    short_mutex mutex;
    unsigned generation = 0;
};

namespace {

constexpr std::size_t nodes_at_once = 64;

struct pool {
    std::mutex mutex;
    std::vector<lasting_mutex::node*> unused;
    unsigned generation = 0;
};

constinit kernel::lasting<pool> the_pool; // blocks may outlive main()

} // namespace

lasting_mutex::lasting_mutex() {
    pool& from = the_pool.own;
    const std::lock_guard guard{from.mutex};
    if (from.unused.empty()) {
        // Room for all that this generation has made, so that giving one back never fails.
        from.unused.reserve(from.unused.capacity() + nodes_at_once);
        node* const made = new node[nodes_at_once];
        for (std::size_t i = 0; i < nodes_at_once; ++i) {
            made[i].generation = from.generation;
            from.unused.push_back(&made[i]);
        }
    }
    node_ = from.unused.back();
    from.unused.pop_back();
}

lasting_mutex::~lasting_mutex() {
    pool& to = the_pool.own;
    const std::lock_guard guard{to.mutex};
    if (node_->generation == to.generation) {
        to.unused.push_back(node_);
    }
}

short_mutex& lasting_mutex::get() const noexcept {
    return node_->mutex;
}

void lasting_mutex::renew_in_child() noexcept {
    pool& own = the_pool.own;
    const unsigned next = own.generation + 1;
    new (&own.mutex) std::mutex;
    new (&own.unused) std::vector<node*>; // another thread of the parent may have been in the middle of changing it
    own.generation = next;
}

} // namespace vcsm::detail
