// Faults on demand: which call of which operation fails, and how.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace vcsm::videocore {

/// What a program asks of VideoCore and its drivers; `read` is VideoCore's own reading.
enum class operation : unsigned { alloc, import, sync, map, lock, unlock, resize, free, read };
inline constexpr std::size_t operation_count = 9;

/// The operation's name in a list of faults.
[[nodiscard, gnu::visibility("default")]] std::string_view to_string(operation what) noexcept;

/// A list of faults such as "alloc@3=ENOMEM,sync@2-5=EINTR,lock@*=EAGAIN,read@1=flip", and the counters it goes by.
///
/// `@N` is the N-th try of that operation, from 1; `@N-M` all from the N-th to the M-th; `@*` the first try of every
/// call: with EINTR and EAGAIN, which callers repeat, the second gets through; with any other errno every try fails.
/// After `=` stands an errno's name or, for `read` alone, `flip`: the reading succeeds with one bit turned over. Safe
/// to call from several threads.
///
/// Exported as kernel::scoped_calls is, so that the face in Python can be tested with it.
class [[gnu::visibility("default")]] faults {
  public:
    /// No faults.
    faults() = default;
    /// Throws std::invalid_argument with a sentence that names what is wrong in `list`, and the grammar.
    explicit faults(std::string_view list);

    /// Stands for "turn a bit over" among the errnos.
    static constexpr int flip = -1;

    /// Counts one try of `what`; 0, the errno that it is to fail with, or `flip`. `caller` tells calls apart for `@*`:
    /// a number that stays the same while one caller repeats one call, such as a thread's.
    [[nodiscard]] int next(operation what, std::uint64_t caller = 0) noexcept;

    /// How many tries of `what` were counted, and how many faults were given; nothing is counted where none is listed.
    [[nodiscard]] std::uint64_t tries(operation what) const noexcept;
    [[nodiscard]] std::uint64_t given() const noexcept;

    /// Whether any fault is listed.
    [[nodiscard]] bool any() const noexcept {
        return !rules_.empty();
    }

  private:
    struct rule {
        operation what;
        std::uint64_t first; // 0: the first try of every call
        std::uint64_t last;
        int result;
    };

    std::vector<rule> rules_;
    mutable std::mutex mutex_;
    std::array<std::uint64_t, operation_count> tries_{};
    std::uint64_t given_ = 0;
    std::set<std::pair<operation, std::uint64_t>> failed_once_;
};

} // namespace vcsm::videocore
