// What the core costs, beside its limits, in the terms of Google Benchmark. `vcsm bench` measures devices; this
// measures what users of the library call most, on the simulated device.
#include "service.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

namespace {

void kept_block_copy(benchmark::State& state) {
    const std::vector<std::byte> source(static_cast<std::size_t>(state.range(0)), std::byte{1});
    vcsm::shared_memory block{source.size(), "benchmark"};
    for (auto _ : state) {
        block.copy_from(source);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(kept_block_copy)->Arg(1 << 20)->Arg(64 << 20);

// Its limit: plain memcpy into the same kind of mapping.
void kept_block_memcpy(benchmark::State& state) {
    const std::vector<std::byte> source(static_cast<std::size_t>(state.range(0)), std::byte{1});
    const vcsm::shared_memory block{source.size(), "benchmark"};
    const auto view = block.lock(vcsm::access::write);
    for (auto _ : state) {
        std::memcpy(view.data(), source.data(), source.size());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(kept_block_memcpy)->Arg(1 << 20)->Arg(64 << 20);

// Wanted: below 100 ns.
void lock_and_unlock_uncached(benchmark::State& state) {
    const vcsm::shared_memory block{4096, "benchmark"};
    for (auto _ : state) {
        const auto view = block.lock(vcsm::access::write);
        benchmark::DoNotOptimize(view.data());
    }
}
BENCHMARK(lock_and_unlock_uncached);

// Wanted: below 30 ns, with 10,000 live blocks in random order.
void look_up_by_handle(benchmark::State& state) {
    std::vector<vcsm::shared_memory> blocks;
    std::vector<std::uint32_t> handles;
    handles.reserve(10000);
    for (int i = 0; i < 10000; ++i) {
        handles.push_back(blocks.emplace_back(4096, "benchmark").handle());
    }
    std::shuffle(handles.begin(), handles.end(), std::mt19937{1});
    const vcsm::detail::registry& known = vcsm::detail::service::instance().handles();
    std::size_t at = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(known.address_of(handles[at]));
        at = at + 1 == handles.size() ? 0 : at + 1;
    }
}
BENCHMARK(look_up_by_handle);

// Wanted: below 60 ns, and the same whether the pool is empty or has 100,000 live blocks.
void pool_allocate_and_free(benchmark::State& state) {
    const auto live = static_cast<std::size_t>(state.range(0));
    vcsm::pool pool{live * 4096 + (std::size_t{1} << 20), "benchmark"};
    std::vector<vcsm::shared_memory> blocks;
    for (std::size_t i = 0; i < live; ++i) {
        blocks.push_back(pool.allocate(4096));
    }
    for (auto _ : state) {
        const vcsm::shared_memory block = pool.allocate(4096);
        benchmark::DoNotOptimize(&block);
    }
}
BENCHMARK(pool_allocate_and_free)->Arg(0)->Arg(100000);

} // namespace

int main(int argc, char** argv) {
    ::setenv("VCSM_SIM_MEMORY", "1G", 0);    // NOLINT(concurrency-mt-unsafe): there is one thread
    ::setenv("VCSM_DEVICE", "simulated", 0); // NOLINT(concurrency-mt-unsafe): there is one thread
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
