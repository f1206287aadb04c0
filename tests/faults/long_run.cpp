// Millions of random operations, the content of every block checked, and what the process holds compared between the
// first part of the run and its end.
//
//   long_run [OPERATIONS [SEED]]       100000 operations; without a seed, a fresh one, which is printed
#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

namespace {

using vcsm::cache_mode;
using vcsm::shared_memory;

// A sanitizer maps and keeps memory of its own for as long as the process runs. With one, only blocks' mappings count.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

struct held {
    std::size_t descriptors = 0;
    std::size_t mappings = 0;
    std::size_t resident = 0; // bytes
};

held now_held() {
    held now;
    const std::filesystem::directory_iterator all{"/proc/self/fd"};
    now.descriptors = static_cast<std::size_t>(std::distance(begin(all), end(all)));
    std::ifstream maps{"/proc/self/maps"};
    for (std::string line; std::getline(maps, line);) {
        now.mappings += !sanitized || line.find("/memfd:") != std::string::npos ? 1 : 0;
    }
    std::ifstream statm{"/proc/self/statm"};
    std::size_t pages = 0;
    statm >> pages >> now.resident;
    now.resident *= static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return now;
}

/// One block, and what must be in it: bytes that follow from a number.
struct slot {
    shared_memory block;
    std::vector<unsigned char> content;
};

/// What one thread does with its own blocks and with a pool that all share.
class worker {
  public:
    worker(std::uint64_t seed, vcsm::pool& shared) : random_{seed}, shared_{shared}, slots_(16) {}

    /// Throws std::runtime_error where a byte is another.
    void operate() {
        slot& chosen = slots_[below(slots_.size())];
        if (!chosen.block) {
            const std::size_t size = 1 + below(6000);
            switch (below(4)) {
            case 0:
                chosen.block = shared_memory{size, "long run"};
                break;
            case 1:
                chosen.block = shared_memory{size, "long run, cached", cache_mode::host};
                break;
            default:
                chosen.block = shared_.allocate(size);
                break;
            }
            fill(chosen, size);
            chosen.block.copy_from(chosen.content);
            return;
        }
        switch (const auto what = below(40); what) {
        case 0:
        case 1:
        case 2:
            check(chosen);
            chosen.block.close();
            break;
        case 3: {
            const std::size_t size = 1 + below(6000);
            try {
                chosen.block.resize(size);
            } catch (const vcsm::error& refused) {
                if (refused.code().value() != EBUSY) {
                    throw;
                }
                check(chosen); // a neighbour in the pool's memory is locked by the other thread: it is as it was
                break;
            }
            chosen.content.resize(std::min(size, chosen.content.size()));
            check(chosen);
            fill(chosen, size);
            chosen.block.copy_from(chosen.content);
            break;
        }
        case 4: {
            shared_memory other = chosen.block.share();
            chosen.block = std::move(other);
            break;
        }
        case 5:
            if (below(50) == 0 && chosen.block.name() != "long run, pool") { // a pool's are parts of one dma-buf
                ::close(chosen.block.export_dmabuf());
            }
            break;
        case 6:
        case 7:
        case 8:
        case 9: {
            const std::size_t at = below(chosen.content.size());
            auto locked = chosen.block.lock<unsigned char>(vcsm::access::write);
            locked[at] = chosen.content[at] = static_cast<unsigned char>(random_());
            break;
        }
        default: {
            const std::size_t from = below(chosen.content.size());
            const std::size_t bytes = std::min<std::size_t>(chosen.content.size() - from, 1 + below(200));
            if (what % 2 == 0) {
                for (std::size_t i = from; i < from + bytes; ++i) {
                    chosen.content[i] = static_cast<unsigned char>(what + i);
                }
                chosen.block.copy_from(std::span{chosen.content}.subspan(from, bytes), from);
            } else {
                std::vector<unsigned char> got(bytes);
                chosen.block.copy_to(got, from);
                if (!std::equal(got.begin(), got.end(), chosen.content.begin() + static_cast<std::ptrdiff_t>(from))) {
                    throw std::runtime_error{"a copy out gave other bytes than were copied in"};
                }
            }
            break;
        }
        }
    }
    void finish() {
        for (slot& each : slots_) {
            if (each.block) {
                check(each);
            }
            each.block.close();
        }
    }

  private:
    void fill(slot& one, std::size_t size) {
        one.content.resize(size);
        const std::uint64_t start = random_();
        for (std::size_t i = 0; i < size; ++i) {
            one.content[i] = static_cast<unsigned char>(start + i * 13);
        }
    }
    static void check(const slot& one) {
        std::vector<unsigned char> got(one.content.size());
        one.block.copy_to(got);
        if (got != one.content) {
            throw std::runtime_error{"block \"" + one.block.name() + "\" holds other bytes than were copied in"};
        }
    }

    [[nodiscard]] std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }

    std::mt19937_64 random_;
    vcsm::pool& shared_;
    std::vector<slot> slots_;
};

} // namespace

int main(int count, char** arguments) {
    const std::uint64_t operations = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 100000;
    const std::uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : std::random_device{}();
    std::printf("operations: %llu, seed: %llu\n", static_cast<unsigned long long>(operations),
                static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    constexpr unsigned thread_count = 2;
    constexpr unsigned parts = 5;
    const auto began = std::chrono::steady_clock::now();
    std::vector<held> after;
    std::atomic<bool> failed{false};
    {
        vcsm::pool frames{std::size_t{1} << 20, "long run, pool"};
        std::vector<worker> workers;
        workers.reserve(thread_count);
        for (unsigned number = 0; number < thread_count; ++number) {
            workers.emplace_back(seed + number, frames);
        }
        for (unsigned part = 0; part < parts && !failed; ++part) {
            std::vector<std::thread> threads;
            threads.reserve(thread_count);
            for (worker& each : workers) {
                threads.emplace_back([&each, &failed, operations] {
                    try {
                        for (std::uint64_t i = 0; i < operations / parts / thread_count; ++i) {
                            each.operate();
                        }
                        each.finish();
                    } catch (const std::exception& wrong) {
                        std::fprintf(stderr, "long_run: %s\n", wrong.what());
                        failed = true;
                    }
                });
            }
            for (std::thread& each : threads) {
                each.join();
            }
            after.push_back(now_held());
            std::printf("part %u: %zu descriptors, %zu mappings, %zu bytes resident\n", part + 1,
                        after.back().descriptors, after.back().mappings, after.back().resident);
        }
    }
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::printf("seconds: %.1f\n", seconds);
    if (failed) {
        return 1;
    }
    // Every part ends with all blocks freed, so nothing may be more than it was; malloc's own pages vary a little.
    constexpr std::size_t mallocs_own = std::size_t{8} << 20;
    const held& first = after.front();
    const held& last = after.back();
    if (last.descriptors > first.descriptors || last.mappings > first.mappings + 4 ||
        (!sanitized && last.resident > first.resident + mallocs_own) || !vcsm::blocks().empty() ||
        !vcsm::videocore::list().empty()) {
        std::fprintf(stderr, "long_run: the process holds more at the end than after the first part\n");
        return 1;
    }
    return 0;
}
