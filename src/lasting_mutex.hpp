// Mutexes that outlive what they guard.
#pragma once

#include "short_mutex.hpp"

#include <vcsm/types.hpp>

namespace vcsm::detail {

/// A mutex whose memory stays a mutex after the object's end: another lasting_mutex gets it then. So whoever found it
/// somewhere may lock it without knowing that what it guards still lives, and then look again (see
/// registry::with_memory). There are never more than were in use at once.
class VCSM_API lasting_mutex {
  public:
    /// Throws std::bad_alloc.
    lasting_mutex();
    lasting_mutex(const lasting_mutex&) = delete;
    lasting_mutex& operator=(const lasting_mutex&) = delete;
    ~lasting_mutex();

    [[nodiscard]] short_mutex& get() const noexcept;

    /// In the child of a fork: the parent's mutexes are not used again, for its threads may have held them.
    static void renew_in_child() noexcept;

    struct node;

  private:
    node* node_;
};

} // namespace vcsm::detail
