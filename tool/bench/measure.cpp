#include "measure.hpp"

#include "../interrupt.hpp"

#include <algorithm>
#include <cmath>

namespace tool::bench {

double quantile(std::vector<double> values, double part) {
    if (values.empty()) {
        return 0;
    }
    const auto at = std::lround(part * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return values[static_cast<std::size_t>(at)];
}

row measure(const comparison& what, std::chrono::milliseconds budget) {
    constexpr std::size_t fewest_rounds = 9;
    constexpr std::size_t most_rounds = 3000;
    std::vector<double> ours;
    std::vector<std::vector<double>> limits(what.limits.size());
    const auto start = clock::now();
    // The first round warms up: pages, caches, and how often to repeat.
    (void)what.ours();
    for (const sampler& each : what.limits) {
        (void)each();
    }
    for (std::size_t round = 0; round < most_rounds; ++round) {
        throw_if_interrupted();
        const bool backwards = round % 2 == 1;
        if (!backwards) {
            ours.push_back(what.ours());
        }
        for (std::size_t i = 0; i < what.limits.size(); ++i) {
            const std::size_t at = backwards ? what.limits.size() - 1 - i : i;
            limits[at].push_back(what.limits[at]());
        }
        if (backwards) {
            ours.push_back(what.ours());
        }
        if (round + 1 >= fewest_rounds && clock::now() - start >= budget) {
            break;
        }
    }
    row found{what.work,       what.bytes, what.threads, what.limit_is, quantile(ours, 0.5), 0, 0, 0, what.at_least,
              what.at_most_ns, 0};
    const std::vector<double>* fastest = nullptr;
    for (const std::vector<double>& each : limits) {
        const double middle = quantile(each, 0.5);
        if (fastest == nullptr || middle < found.limit_ns) {
            fastest = &each;
            found.limit_ns = middle;
        }
    }
    if (fastest != nullptr) {
        std::vector<double> ratios;
        for (std::size_t i = 0; i < ours.size(); ++i) {
            ratios.push_back((*fastest)[i] / ours[i]);
        }
        found.ratio = quantile(ratios, 0.5);
        found.spread = quantile(ratios, 0.75) - quantile(ratios, 0.25);
    }
    return found;
}

} // namespace tool::bench
