#include "pool_work.hpp"

#include "material.hpp"

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tool::bench {

std::shared_ptr<vcsm::pool> new_pool(std::size_t bytes) {
    return std::make_shared<vcsm::pool>(bytes, "bench");
}

namespace {

sampler from_pool(const std::shared_ptr<vcsm::pool>& from, std::size_t bytes) {
    return repeated([from, bytes] {
        const vcsm::shared_memory block = from->allocate(bytes);
        look_at(&block);
    });
}

// A pool with so many live blocks of 4 KiB, or of the size that there is room for.
std::shared_ptr<std::pair<std::shared_ptr<vcsm::pool>, std::vector<vcsm::shared_memory>>> crowded(std::size_t blocks) {
    for (const std::size_t each : {4 * kib, kib, std::size_t{256}}) {
        try {
            auto made = std::make_shared<std::pair<std::shared_ptr<vcsm::pool>, std::vector<vcsm::shared_memory>>>();
            made->first = new_pool(blocks * each + 8 * mib);
            made->second.reserve(blocks);
            for (std::size_t i = 0; i < blocks; ++i) {
                made->second.push_back(made->first->allocate(each));
            }
            return made;
        } catch (const vcsm::error&) { // no room, or more than a block of the driver may have
            if (each == 256) {
                throw;
            }
        }
    }
    return nullptr;
}

// Blocks of many sizes live in it, and as many holes of the same sizes lie between them. A batch is more blocks than
// threads keep at hand, so that places are looked for among all the holes.
struct mixed_pool {
    explicit mixed_pool(std::size_t live) : from{new_pool(live * largest + 16 * mib)} {
        std::mt19937 random{1};
        std::vector<vcsm::shared_memory> all;
        all.reserve(2 * live);
        for (std::size_t i = 0; i < 2 * live; ++i) {
            all.push_back(from->allocate(some_size(random)));
        }
        for (std::size_t i = 0; i < live; ++i) {
            blocks.push_back(std::move(all[2 * i]));
        }
        for (std::size_t i = 0; i < in_a_batch; ++i) {
            sizes.push_back(some_size(random));
        }
        batch.reserve(in_a_batch);
    }

    double nanoseconds_a_block() {
        const auto start = clock::now();
        for (const std::size_t bytes : sizes) {
            batch.push_back(from->allocate(bytes));
        }
        batch.clear();
        return nanoseconds_since(start) / static_cast<double>(in_a_batch);
    }

    static constexpr std::size_t largest = 8 * kib;
    static constexpr std::size_t in_a_batch = 2000;
    static std::size_t some_size(std::mt19937& random) { return 1 + random() % largest; }

    std::shared_ptr<vcsm::pool> from;
    std::vector<vcsm::shared_memory> blocks;
    std::vector<vcsm::shared_memory> batch;
    std::vector<std::size_t> sizes;
};

// So many threads at once, each with samples of its own, from when all run until the first has enough.
double with_threads(vcsm::pool& from, unsigned threads) {
    constexpr std::size_t times = 1000;
    constexpr std::size_t enough = 60;
    std::atomic<unsigned> running{0};
    std::atomic<bool> done{false};
    std::vector<std::vector<double>> samples(threads);
    const auto work = [&](std::size_t number) {
        ++running;
        while (running < threads) {
            std::this_thread::yield();
        }
        std::vector<double>& own = samples[number];
        while (!done) {
            const auto start = clock::now();
            for (std::size_t i = 0; i < times; ++i) {
                const vcsm::shared_memory block = from.allocate(4 * kib);
                look_at(&block);
            }
            own.push_back(nanoseconds_since(start) / static_cast<double>(times));
            if (own.size() >= enough) {
                done = true;
            }
        }
    };
    std::vector<std::thread> others;
    for (unsigned i = 1; i < threads; ++i) {
        others.emplace_back(work, i);
    }
    work(0);
    for (std::thread& each : others) {
        each.join();
    }
    double per_second = 0;
    for (const std::vector<double>& each : samples) {
        per_second += each.empty() ? 0 : 1 / quantile(each, 0.5);
    }
    return 1 / per_second;
}

} // namespace

comparison pool_against_calls(std::size_t bytes, bool checked) {
    const auto hand = by_hand();
    comparison made{"pool: allocate + free", bytes, 1, hand->calls(), from_pool(new_pool(8 * mib), bytes), {}, 0, 0};
    made.limits.push_back(repeated([hand, bytes] { hand->with_block(bytes, look_at); }));
    if (checked) {
        made.at_least = 80;
        made.at_most_ns = 60;
    }
    return made;
}

comparison crowded_pool(std::size_t blocks, bool checked) {
    const auto full = crowded(blocks);
    comparison made{
        "pool: allocate + free, " + std::to_string(blocks) + " live", 4 * kib, 1, "an empty pool", {}, {}, 0, 0};
    made.ours = repeated([full] {
        const vcsm::shared_memory block = full->first->allocate(4 * kib);
        look_at(&block);
    });
    made.limits.push_back(from_pool(new_pool(8 * mib), 4 * kib));
    made.at_least = checked ? 1 / 1.5 : 0;
    return made;
}

comparison fragmented_pool(std::size_t blocks) {
    const auto full = std::make_shared<mixed_pool>(blocks);
    const auto empty = std::make_shared<mixed_pool>(0);
    comparison made{"pool: 2000 blocks up to 8 KiB, among " + std::to_string(blocks) + " holes",
                    mixed_pool::largest / 2,
                    1,
                    "an empty pool",
                    {},
                    {},
                    0,
                    0};
    made.ours = [full] { return full->nanoseconds_a_block(); };
    made.limits.push_back([empty] { return empty->nanoseconds_a_block(); });
    return made;
}

comparison threads_in_pool(unsigned threads, bool checked) {
    const auto from = new_pool(8 * mib);
    comparison made{"pool: allocate + free", 4 * kib, threads, "one thread", {}, {}, 0, 0};
    made.ours = [from, threads] { return with_threads(*from, threads); };
    made.limits.push_back([from] { return with_threads(*from, 1); });
    made.at_least = checked ? 1.7 : 0;
    return made;
}

comparison filled_pool_block(std::size_t bytes, bool checked) {
    const auto from = new_pool(4 * bytes);
    const auto source = filled(bytes);
    const auto kept = std::make_shared<vcsm::shared_memory>(from->allocate(bytes));
    const auto view = std::make_shared<vcsm::lock<std::byte>>(kept->lock(vcsm::access::write));
    comparison made{"pool block, filled", bytes, 1, "memcpy into such a block", {}, {}, 0, 0};
    // The same block over and over, as the pool gives it again, and a neighbour of the same kind.
    made.ours = repeated([from, source] { from->allocate(source->size()).copy_from(*source); });
    made.limits.push_back(
        repeated([view, source, kept] { copy_plainly(view->data(), source->data(), source->size()); }));
    made.at_least = checked ? 0.95 : 0;
    return made;
}

} // namespace tool::bench
