// The failing system calls of the harness, for a Python program: a library of its own over the libvcsmxx.so that the
// package brought, loaded with ctypes. Preloaded, its operators new are the whole process's.
#include "faults/failing_calls.hpp"
#include "faults/failing_new.hpp"

#include "device/simulated.hpp"

#include <vcsm/service.hpp>
#include <vcsm/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace {

namespace videocore = vcsm::videocore;

struct harness {
    vcsm::kernel::calls own;
    std::optional<faults::failing_calls> failing;
    std::optional<vcsm::kernel::scoped_calls> in_force;
    std::optional<faults::news_watched> watched;
    std::uint64_t failing_new = 0;
    std::uint64_t news = 0;
    bool new_failed = false;
    std::array<std::uint64_t, videocore::operation_count> tries_before{};
    std::array<std::vector<std::uint64_t>, videocore::operation_count> tried;
    std::uint64_t given = 0;
};

harness& the_harness() {
    static auto* const one = new harness; // never destroyed: blocks may outlive everything else
    return *one;
}

// Asking for the model makes one, which would be a fault too many: it is there once the service runs.
const videocore::faults* model_faults() {
    return vcsm::service_running() && vcsm::device::simulated_exists()
               ? &vcsm::device::simulated_videocore()->on_demand()
               : nullptr;
}

} // namespace

#define SEAM extern "C" [[gnu::visibility("default")]]

/// A run in which the call with number `at` (from 1; 0: none) fails so, and the operator new with number `failing_new`.
SEAM void seam_begin(std::size_t at, int errno_value, std::size_t times, std::size_t failing_new) {
    harness& now = the_harness();
    now.failing_new = failing_new;
    now.news = 0;
    now.new_failed = false;
    now.given = 0;
    for (auto& each : now.tried) {
        each.clear();
    }
    now.failing.emplace(now.own);
    now.failing->plan(at, {errno_value, times});
    now.in_force.emplace(*now.failing);
}
SEAM void seam_end() {
    the_harness().in_force.reset();
}
/// From here on calls and news count, and one of them may fail.
SEAM void seam_arm() {
    harness& now = the_harness();
    const videocore::faults* const asked = model_faults();
    for (unsigned what = 0; what < videocore::operation_count; ++what) {
        now.tries_before[what] = asked == nullptr ? 0 : asked->tries(static_cast<videocore::operation>(what));
    }
    now.failing->arm(true);
    now.watched.emplace(now.failing_new, now.news);
}
SEAM void seam_disarm() {
    harness& now = the_harness();
    now.news = faults::news_watched::counted();
    now.new_failed = faults::news_watched::failed();
    now.watched.reset();
    now.failing->arm(false);
    if (const videocore::faults* const asked = model_faults()) {
        for (unsigned what = 0; what < videocore::operation_count; ++what) {
            const std::uint64_t tries = asked->tries(static_cast<videocore::operation>(what));
            for (std::uint64_t number = now.tries_before[what] + 1; number <= tries; ++number) {
                now.tried[what].push_back(number);
            }
        }
        now.given = asked->given();
    }
}
SEAM bool seam_failed() {
    return the_harness().failing->failed() || the_harness().new_failed || the_harness().given > 0;
}
/// How many operations VideoCore has, their names, and which tries of them were made while armed.
SEAM std::size_t seam_operations() {
    return videocore::operation_count;
}
SEAM const char* seam_operation(unsigned what) {
    return videocore::to_string(static_cast<videocore::operation>(what)).data();
}
SEAM std::size_t seam_tries(unsigned what) {
    return the_harness().tried[what].size();
}
SEAM std::uint64_t seam_try(unsigned what, std::size_t index) {
    return the_harness().tried[what][index];
}
/// How many operators new there were while armed.
SEAM std::size_t seam_news() {
    return the_harness().news;
}
SEAM std::int64_t seam_living_pieces() {
    return faults::living_pieces();
}
SEAM std::size_t seam_calls() {
    return the_harness().failing->made().size();
}
/// Which kind of call the one of that number, from 1, was.
SEAM unsigned seam_kind(std::size_t number) {
    return static_cast<unsigned>(the_harness().failing->made()[number - 1]);
}
SEAM const char* seam_name(unsigned kind) {
    return faults::name_of(static_cast<faults::call>(kind)).data();
}
SEAM std::size_t seam_ways(unsigned kind) {
    return faults::ways_to_fail(static_cast<faults::call>(kind)).size();
}
SEAM int seam_errno(unsigned kind, std::size_t way) {
    return faults::ways_to_fail(static_cast<faults::call>(kind))[way].errno_value;
}
SEAM std::size_t seam_times(unsigned kind, std::size_t way) {
    return faults::ways_to_fail(static_cast<faults::call>(kind))[way].times;
}
SEAM bool seam_is_repeated(unsigned kind, int errno_value) {
    return faults::is_repeated(static_cast<faults::call>(kind), errno_value);
}
SEAM std::size_t seam_mapped_bytes() {
    return the_harness().failing->mapped_bytes();
}
SEAM std::size_t seam_blocks() {
    return vcsm::blocks().size();
}
SEAM std::size_t seam_locks() {
    std::size_t sum = 0;
    for (const vcsm::block_info& each : vcsm::blocks()) {
        sum += each.locks;
    }
    return sum;
}
