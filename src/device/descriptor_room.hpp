// Making sure that the kernel will find a free descriptor.
#pragma once

#include "device/report.hpp"

#include <chrono>
#include <mutex>

namespace vcsm::device {

/// What is known of the system's table of open files. Used by descriptor_room alone, one at a time.
class file_table {
  public:
    /// Whether it cannot be full now. False where it can, and where the system does not tell.
    [[nodiscard]] bool is_far_from_full() noexcept;

  private:
    std::chrono::steady_clock::time_point sure_until_{};
};

/// Holds room for the one descriptor that /dev/vcsm-cma is about to make.
///
/// When the driver finds no free descriptor after it has allocated, it answers success with a handle that it never
/// wrote, and the kernel has crashed. No call asks the kernel to keep a descriptor for another call, so between any
/// check and the allocation other threads may open files. What is done about it:
///
/// - allocations of this process go one at a time, so that they never take each other's descriptor;
/// - the call is refused unless `spare_descriptors` descriptors are free right before it. Mostly that can be seen at
///   once; where it cannot, as many are opened and let go again;
/// - the system's table of open files can be full too, and the driver fares no better then. So a file is opened first,
///   unless so much of the table was free a moment ago that nobody can have filled it since.
///
/// What remains is a program that opens all of them in other threads during one allocation, with its limit just that
/// far away, and an administrator who makes the system's table smaller than its use in that very moment. They cannot be
/// excluded from user space without a descriptor table of its own for each allocation (a process or a thread apart),
/// which would cost more than the allocation.
class descriptor_room {
  public:
    /// Throws vcsm::error (EMFILE, ENFILE) when there is too little; nothing is held then.
    descriptor_room(const about& what, file_table& files);

  private:
    std::unique_lock<std::mutex> one_at_a_time_;
};

/// Free descriptors without which nothing is asked of the driver.
inline constexpr int spare_descriptors = 32;

} // namespace vcsm::device
