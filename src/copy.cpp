// Measured by `vcsm bench` and benchmarks/core_benchmark.cpp, on x86-64 with 32 MiB of last-level cache, into a shared
// mapping that was written before (best of 150, in µs; "two" are two threads that begin and end with the copy):
//
//              memcpy   streaming, 16 bytes   streaming, 32 bytes   rep movsb   two, memcpy   two, streaming
//      1 MiB       42                    42                    37          70           102               65
//      8 MiB      384                   300                   293         404           456              339
//     64 MiB     5701                  4656                  5011        8299         15075             4286
//
// So: plain up to where streaming stores pay, which do not read the target's lines first and leave the caches to the
// program; and beyond, where a thread costs nothing beside the copy, two threads that share the work in pieces, so that
// one which does not get a processor costs little either. Blocks that the CPU does not cache want wide accesses in
// order, which is what memcpy of the C library makes on every Arm; there it is the way for all sizes.
#include "copy.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <thread>

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace vcsm::detail {

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

#ifdef __SSE2__

// Below, a source and a target that are used over and over stay in the CPU's caches, where memcpy copies 1 MiB in 23
// µs.
constexpr std::size_t streaming_pays_for_videocore = 6 * mebibyte;
// What the program reads next is better left in its caches as long as there is a chance that it fits.
constexpr std::size_t streaming_pays_for_cpu = 8 * mebibyte;

// The widest vectors whose loads and stores take part in a piece of 128 bytes.
void stream_sse2(std::byte* to, const std::byte* from, std::size_t pieces) noexcept {
    for (; pieces > 0; --pieces, to += 128, from += 128) {
        __m128i taken[8];
        for (std::size_t i = 0; i < 8; ++i) {
            taken[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + i);
        }
        for (std::size_t i = 0; i < 8; ++i) {
            _mm_stream_si128(reinterpret_cast<__m128i*>(to) + i, taken[i]);
        }
    }
    _mm_sfence();
}

__attribute__((target("avx"))) void stream_avx(std::byte* to, const std::byte* from, std::size_t pieces) noexcept {
    for (; pieces > 0; --pieces, to += 128, from += 128) {
        const auto* const source = reinterpret_cast<const __m256i*>(from);
        auto* const target = reinterpret_cast<__m256i*>(to);
        const __m256i first = _mm256_loadu_si256(source);
        const __m256i second = _mm256_loadu_si256(source + 1);
        const __m256i third = _mm256_loadu_si256(source + 2);
        const __m256i fourth = _mm256_loadu_si256(source + 3);
        _mm256_stream_si256(target, first);
        _mm256_stream_si256(target + 1, second);
        _mm256_stream_si256(target + 2, third);
        _mm256_stream_si256(target + 3, fourth);
    }
    _mm_sfence();
}

void stream(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    static const bool has_avx = __builtin_cpu_supports("avx") != 0;
    // Streaming stores want aligned targets; the ragged ends go the plain way.
    const std::size_t head = std::min(bytes, (0 - reinterpret_cast<std::uintptr_t>(to)) % 64);
    std::memcpy(to, from, head);
    const std::size_t pieces = (bytes - head) / 128;
    (has_avx ? stream_avx : stream_sse2)(to + head, from + head, pieces);
    const std::size_t done = head + pieces * 128;
    std::memcpy(to + done, from + done, bytes - done);
}

#else

constexpr std::size_t streaming_pays_for_videocore = SIZE_MAX;
constexpr std::size_t streaming_pays_for_cpu = SIZE_MAX;

void stream(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    std::memcpy(to, from, bytes);
}

#endif

constexpr std::size_t threads_pay = 16 * mebibyte;
constexpr std::size_t piece_of_a_thread = mebibyte;

bool has_two_processors() noexcept {
    cpu_set_t allowed;
    return ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 1;
}

// Two threads take pieces until there are none; the second lives as long as the copy.
void copy_with_threads(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    std::atomic<std::size_t> taken{0};
    const auto work = [&]() noexcept {
        for (;;) {
            const std::size_t at = taken.fetch_add(piece_of_a_thread, std::memory_order_relaxed);
            if (at >= bytes) {
                return;
            }
            stream(to + at, from + at, std::min(piece_of_a_thread, bytes - at));
        }
    };
    std::thread helper;
    try {
        // The program's signals are for its own threads.
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            helper = std::thread{work};
        } catch (...) {
            ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
            throw;
        }
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    } catch (const std::exception&) { // no thread is to be had: then alone
    }
    work();
    if (helper.joinable()) {
        helper.join();
    }
}

bool overlap(const std::byte* a, const std::byte* b, std::size_t bytes) noexcept {
    const auto first = reinterpret_cast<std::uintptr_t>(a);
    const auto second = reinterpret_cast<std::uintptr_t>(b);
    return first < second ? second - first < bytes : first - second < bytes;
}

} // namespace

void copy_bytes(std::byte* to, const std::byte* from, std::size_t bytes, next_reader next) noexcept {
    const std::size_t streaming_pays =
        next == next_reader::videocore ? streaming_pays_for_videocore : streaming_pays_for_cpu;
    if (bytes < std::min(streaming_pays, threads_pay) || overlap(to, from, bytes)) {
        if (bytes > 0) {
            std::memmove(to, from, bytes);
        }
    } else if (bytes < threads_pay || !has_two_processors()) {
        stream(to, from, bytes);
    } else {
        copy_with_threads(to, from, bytes);
    }
}

} // namespace vcsm::detail
