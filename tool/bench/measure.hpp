// How `vcsm bench` measures: the work and its limit in turn, in one run, and what is in the middle of many rounds.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tool::bench {

using clock = std::chrono::steady_clock;

/// One sample: nanoseconds for one operation.
using sampler = std::function<double()>;

/// How long a sample takes at least. Much less than a scheduler's time slice, so that most are undisturbed.
inline constexpr std::chrono::microseconds sample_time{30};

[[nodiscard]] inline double nanoseconds_since(clock::time_point start) {
    return std::chrono::duration<double, std::nano>(clock::now() - start).count();
}

/// A sampler of an operation that may take less than the clock can tell: repeats it as often as needed.
template <class Operation>
[[nodiscard]] sampler repeated(Operation operation) {
    return [operation = std::move(operation), times = std::make_shared<std::size_t>(0)]() -> double {
        if (*times == 0) {
            *times = 1;
            for (;;) {
                const auto start = clock::now();
                for (std::size_t i = 0; i < *times; ++i) {
                    operation();
                }
                if (clock::now() - start >= sample_time) {
                    break;
                }
                *times *= 2;
            }
        }
        const auto start = clock::now();
        for (std::size_t i = 0; i < *times; ++i) {
            operation();
        }
        return nanoseconds_since(start) / static_cast<double>(*times);
    };
}

/// Some work, and what it is held against.
struct comparison {
    std::string work;
    std::size_t bytes = 0;
    unsigned threads = 1;
    std::string limit_is; ///< in words
    sampler ours;
    std::vector<sampler> limits; ///< the fastest of them is the limit; none: there is nothing to hold it against
    double at_least = 0;         ///< limit / ours must be; 0: anything
    double at_most_ns = 0;       ///< ours must be below; 0: anything
};

/// What came of it. Times are medians; ratio is the median of the rounds' limit / ours, spread the distance of its
/// quartiles.
struct row {
    std::string work;
    std::size_t bytes = 0;
    unsigned threads = 1;
    std::string limit_is;
    double ours_ns = 0;
    double limit_ns = 0;
    double ratio = 0;
    double spread = 0;
    double at_least = 0;
    double at_most_ns = 0;
    unsigned repeated = 0; ///< how often it was measured again because it failed

    [[nodiscard]] bool is_checked() const { return at_least > 0 || at_most_ns > 0; }
    [[nodiscard]] bool passes() const { return ratio >= at_least && (at_most_ns == 0 || ours_ns < at_most_ns); }
};

/// Rounds of one sample of each, in turns forwards and backwards, for about `budget`. Throws tool::interrupted.
[[nodiscard]] row measure(const comparison& what, std::chrono::milliseconds budget);

/// The value below which that part (0 to 1) of the values lies.
[[nodiscard]] double quantile(std::vector<double> values, double part);

} // namespace tool::bench
