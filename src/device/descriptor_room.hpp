// Making sure that the kernel will find a free descriptor.
#pragma once

#include "device/report.hpp"

#include <mutex>

namespace vcsm::device {

/// Holds room for the one descriptor that /dev/vcsm-cma is about to make.
///
/// When the driver finds no free descriptor after it has allocated, it answers success with a handle that it never
/// wrote, and the kernel has crashed. No call asks the kernel to keep a descriptor for another call, so between any
/// check and the allocation other threads may open files. What is done about it:
///
/// - allocations of this process go one at a time, so that they never take each other's descriptor;
/// - the call is refused unless `spare_descriptors` descriptors are free right before it. Mostly that can be seen at
///   once; where it cannot, as many are opened and let go again;
/// - a file is opened in any case, because the system's table of open files can be full too, and the driver fares no
///   better then.
///
/// What remains is a program that opens all of them in other threads during one allocation, with its limit just that
/// far away. It cannot be excluded from user space without a descriptor table of its own for each allocation (a process
/// or a thread apart), which would cost more than the allocation.
class descriptor_room {
  public:
    /// Throws vcsm::error (EMFILE, ENFILE) when there is too little; nothing is held then.
    explicit descriptor_room(const about& what);

  private:
    std::unique_lock<std::mutex> one_at_a_time_;
};

inline constexpr int spare_descriptors = 32;

} // namespace vcsm::device
