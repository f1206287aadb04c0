#include "work.hpp"

#include "hand_made.hpp"
#include "material.hpp"
#include "pool_work.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <thread>
#include <utility>

namespace tool::bench {

namespace {

// ---- blocks of their own

comparison fresh_block(std::size_t bytes, bool fill, bool checked) {
    const auto hand = by_hand();
    comparison made{
        fill ? "fresh block, filled" : "fresh block: allocate + free", bytes, 1, hand->calls(), {}, {}, 0, 0};
    if (fill) {
        const auto source = filled(bytes);
        made.limit_is += " and memcpy";
        made.ours = repeated([source] { vcsm::shared_memory{source->size(), "bench"}.copy_from(*source); });
        made.limits.push_back(repeated([hand, source] {
            hand->with_block(source->size(),
                             [&](void* address) { std::memcpy(address, source->data(), source->size()); });
        }));
    } else {
        made.ours = repeated([bytes] {
            const vcsm::shared_memory block{bytes, "bench"};
            look_at(&block);
        });
        made.limits.push_back(repeated([hand, bytes] { hand->with_block(bytes, look_at); }));
    }
    made.at_least = checked ? 0.95 : 0;
    return made;
}

comparison kept_block(std::size_t bytes, bool checked) {
    const auto source = filled(bytes);
    const auto block = std::make_shared<vcsm::shared_memory>(bytes, "bench");
    const auto view = std::make_shared<vcsm::lock<std::byte>>(block->lock(vcsm::access::write));
    comparison made{"kept block, filled", bytes, 1, "memcpy into it", {}, {}, 0, 0};
    made.ours = repeated([block, source] { block->copy_from(*source); });
    const auto by = [&](void (*copy)(std::byte*, const std::byte*, std::size_t)) {
        made.limits.push_back(
            repeated([view, source, block, copy] { copy(view->data(), source->data(), source->size()); }));
    };
    by(copy_plainly);
    if (bytes > 4 * mib) {
        made.limit_is = "the fastest of memcpy, streaming stores, two threads";
        by(copy_streaming);
        by(copy_by_two_threads);
    }
    made.at_least = checked ? 0.95 : 0;
    return made;
}

comparison copy(std::size_t bytes, vcsm::cache_mode cache, bool in) {
    const auto program = filled(bytes);
    const auto block = std::make_shared<vcsm::shared_memory>(bytes, "bench", cache);
    const auto plain = filled(bytes);
    comparison made{std::string{in ? "copy in, cache " : "copy out, cache "} +
                        std::string{to_string(block->granted_cache())},
                    bytes,
                    1,
                    "memcpy between two buffers",
                    {},
                    {},
                    0,
                    0};
    if (in) {
        made.ours = repeated([block, program] { block->copy_from(*program); });
    } else {
        made.ours = repeated([block, program] { block->copy_to(*program); });
    }
    made.limits.push_back(repeated([plain, program] {
        std::memcpy(plain->data(), program->data(), program->size());
        look_at(plain->data());
    }));
    return made;
}

comparison locking(std::size_t bytes, vcsm::cache_mode cache) {
    const auto block = std::make_shared<vcsm::shared_memory>(bytes, "bench", cache);
    comparison made{
        "lock + unlock to read, cache " + std::string{to_string(block->granted_cache())}, bytes, 1, "", {}, {}, 0, 0};
    made.ours = repeated([block] {
        const auto view = block->lock(vcsm::access::read);
        look_at(view.data());
    });
    return made;
}

comparison latency(const std::string& what, double part, const char* shown, std::size_t bytes,
                   const std::function<void()>& once) {
    comparison made{what + ", " + shown, bytes, 1, "", {}, {}, 0, 0};
    made.ours = [once, part] {
        std::vector<double> each(1000);
        for (double& one : each) {
            const auto start = clock::now();
            once();
            one = nanoseconds_since(start);
        }
        return quantile(each, part);
    };
    return made;
}

// ---- strided copies

comparison second_columns(std::size_t bytes, bool checked) {
    constexpr std::size_t width = 1024;
    const std::size_t height = bytes / sizeof(std::uint32_t) / width;
    const auto source = std::make_shared<std::vector<std::uint32_t>>(2 * width * height, 7U);
    const auto block = std::make_shared<vcsm::shared_memory>(bytes, "bench");
    const auto view = std::make_shared<vcsm::lock<std::uint32_t>>(block->lock<std::uint32_t>(vcsm::access::write));
    comparison made{"strided copy, every second column", bytes, 1, "a plain nested loop", {}, {}, 0, 0};
    made.ours = repeated([source, view, block, height] {
        const std::size_t shape[] = {height, width};
        const std::ptrdiff_t into[] = {static_cast<std::ptrdiff_t>(width * 4), 4};
        const std::ptrdiff_t out_of[] = {static_cast<std::ptrdiff_t>(width * 8), 8};
        vcsm::copy_strided(reinterpret_cast<std::byte*>(view->data()),
                           reinterpret_cast<const std::byte*>(source->data()), {4, shape, into, out_of});
    });
    made.limits.push_back(repeated([source, view, block, height] {
        std::uint32_t* const to = view->data();
        const std::uint32_t* const from = source->data();
        for (std::size_t y = 0; y < height; ++y) {
            for (std::size_t x = 0; x < width; ++x) {
                to[y * width + x] = from[y * 2 * width + 2 * x];
            }
        }
        look_at(to);
    }));
    made.at_least = checked ? 0.95 : 0;
    return made;
}

// ---- rings

enum class consuming { nothing, touching, copying };

// Nanoseconds a block: a producer fills it with the next part of a stream, and a consumer does that with each.
double through_ring(vcsm::ring& blocks, const bytes_of& stream, bytes_of& target, consuming how) {
    constexpr std::size_t count = 256;
    const auto fill = [&](vcsm::shared_memory& block, std::size_t number) {
        const std::size_t parts = stream.size() / blocks.block_bytes();
        block.copy_from(std::span{stream}.subspan(number % parts * blocks.block_bytes(), blocks.block_bytes()));
    };
    if (how == consuming::nothing) {
        const auto start = clock::now();
        for (std::size_t i = 0; i < count; ++i) {
            fill(*blocks.acquire(), i);
            blocks.submit();
            blocks.release();
        }
        return nanoseconds_since(start) / static_cast<double>(count);
    }
    std::atomic<bool> ready{false};
    std::thread consumer{[&] {
        ready = true;
        for (std::size_t i = 0; i < count; ++i) {
            vcsm::shared_memory* const block = blocks.receive();
            if (how == consuming::touching) {
                const auto view = block->lock(vcsm::access::read);
                const std::byte first = view[0];
                look_at(&first);
            } else {
                block->copy_to(target);
            }
            blocks.release();
        }
    }};
    while (!ready) {
        std::this_thread::yield();
    }
    const auto start = clock::now();
    for (std::size_t i = 0; i < count; ++i) {
        fill(*blocks.acquire(), i);
        blocks.submit();
    }
    while (blocks.in_use() > 0) {
        std::this_thread::yield();
    }
    const double taken = nanoseconds_since(start) / static_cast<double>(count);
    consumer.join();
    return taken;
}

comparison ring(consuming how) {
    constexpr std::size_t bytes = 64 * kib;
    const auto blocks = std::make_shared<vcsm::ring>(std::size_t{32}, bytes, "bench");
    const auto stream = filled(16 * mib);
    const auto target = filled(bytes);
    comparison made{how == consuming::touching ? "ring: fill, the other touches" : "ring: fill, the other copies out",
                    bytes,
                    2,
                    "filling it with one thread",
                    {},
                    {},
                    how == consuming::touching ? 0.9 : 0.45,
                    0};
    made.ours = [=] { return through_ring(*blocks, *stream, *target, how); };
    made.limits.push_back([=] { return through_ring(*blocks, *stream, *target, consuming::nothing); });
    return made;
}

} // namespace

plan plan_for_device(bool quick) {
    plan made;
    made.checked = {
        [] { return pool_against_calls(4 * kib, true); }, [] { return crowded_pool(100000, true); },
        [] { return threads_in_pool(2, true); },          [] { return fresh_block(mib, true, true); },
        [] { return filled_pool_block(mib, true); },      [] { return kept_block(mib, true); },
        [] { return kept_block(8 * mib, true); },         [] { return kept_block(64 * mib, true); },
        [] { return second_columns(4 * mib, true); },     [] { return ring(consuming::touching); },
        [] { return ring(consuming::copying); },
    };
    const auto add = [&](maker one) { made.others.push_back(std::move(one)); };
    const std::size_t step = quick ? 16 : 4;
    for (std::size_t bytes = 4 * kib; bytes <= 16 * mib; bytes *= step) {
        add([=] { return fresh_block(bytes, false, false); });
        add([=] { return fresh_block(bytes, true, false); });
        if (bytes <= mib) {
            add([=] { return pool_against_calls(bytes, false); });
        }
    }
    for (const vcsm::cache_mode cache : {vcsm::cache_mode::none, vcsm::cache_mode::host}) {
        for (std::size_t bytes = 4 * kib; bytes <= 16 * mib; bytes *= step) {
            add([=] { return copy(bytes, cache, true); });
            add([=] { return copy(bytes, cache, false); });
        }
        add([=] { return locking(4 * kib, cache); });
        add([=] { return locking(mib, cache); });
    }
    for (std::size_t blocks = 1; blocks <= (quick ? 10000U : 1000000U); blocks *= 10) {
        add([=] { return crowded_pool(blocks, false); });
    }
    for (std::size_t blocks = 100; blocks <= (quick ? 10000U : 100000U); blocks *= 10) {
        add([=] { return fragmented_pool(blocks); });
    }
    const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
    for (unsigned threads = 2; threads <= std::min(16U, 2 * processors); threads *= 2) {
        add([=] { return threads_in_pool(threads, false); });
    }
    for (const auto& [part, shown] :
         {std::pair{0.5, "median"}, {0.99, "99th percentile"}, {0.999, "99.9th percentile"}}) {
        add([part = part, shown = shown] {
            const auto from = new_pool(mib);
            return latency("latency: pool, allocate + free", part, shown, 4 * kib,
                           [from] { (void)from->allocate(4 * kib).capacity(); });
        });
        add([part = part, shown = shown] {
            return latency("latency: fresh block, allocate + free", part, shown, 4 * kib, [] {
                (void)vcsm::shared_memory{4 * kib, "bench"}.capacity();
            });
        });
    }
    return made;
}

} // namespace tool::bench
