// What a program does without the library: the same system calls by hand, and the plainest copies.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace tool::bench {

/// Memory that VideoCore could use, allocated, mapped and freed by hand on the kernel interface of a device. Where
/// there is none, on the simulated device, by the system calls of a memfd, which the simulation's memory is.
class hand_made {
  public:
    /// For the device of that name. Throws tool::failed.
    explicit hand_made(std::string_view device);
    hand_made(const hand_made&) = delete;
    hand_made& operator=(const hand_made&) = delete;
    ~hand_made();

    /// The system calls, in words.
    [[nodiscard]] const std::string& calls() const { return calls_; }
    /// Allocates, maps, calls `use(address)`, unmaps and frees.
    template <class Use>
    void with_block(std::size_t bytes, Use&& use) const {
        const int descriptor = allocate(bytes);
        void* const address = map(descriptor, bytes);
        use(address);
        give_back(descriptor, address, bytes);
    }

  private:
    [[nodiscard]] int allocate(std::size_t bytes) const;
    [[nodiscard]] static void* map(int descriptor, std::size_t bytes);
    static void give_back(int descriptor, void* address, std::size_t bytes);

    enum class interface { memfd, dma_heap, vcsm_cma } kind_ = interface::memfd;
    int device_ = -1;
    std::string calls_;
};

/// Copies that a program would write: memcpy, streaming stores, two threads.
void copy_plainly(std::byte* to, const std::byte* from, std::size_t bytes);
void copy_streaming(std::byte* to, const std::byte* from, std::size_t bytes);
void copy_by_two_threads(std::byte* to, const std::byte* from, std::size_t bytes);

} // namespace tool::bench
