// What `vcsm bench` measures.
#pragma once

#include "measure.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tool::bench {

/// A row, and how to set up what it measures: the memory is allocated when make() is called and freed with what it
/// gives. So rows do not stand in each other's way, and one that there is no room for fails alone.
using maker = std::function<comparison()>;

struct plan {
    std::vector<maker> checked; ///< the rows of --check
    std::vector<maker> others;  ///< the further rows of a whole run
};

/// For the device that the service uses. `quick` leaves out sizes.
[[nodiscard]] plan plan_for_device(bool quick);

} // namespace tool::bench
