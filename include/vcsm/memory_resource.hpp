// Containers of the standard library whose elements lie in VideoCore memory.
#pragma once

#include <vcsm/pool.hpp>
#include <vcsm/shared_memory.hpp>

#include <cstddef>
#include <memory>
#include <memory_resource>

namespace vcsm {

/// A std::pmr::memory_resource on a pool.
///
///     vcsm::pool memory{1 << 20, "vertices"};
///     vcsm::memory_resource in_videocore{memory};
///     std::pmr::vector<vertex> vertices{&in_videocore};
///     …
///     in_videocore.sync();
///     draw(in_videocore.location(vertices.data()), vertices.size());
///
/// What is allocated is locked for writing until it is deallocated, so that containers can use it like any memory. So
/// in a host-cached pool VideoCore sees what was written, and the CPU what VideoCore wrote, after sync(); an uncached
/// pool needs it too, as a barrier, but there it costs next to nothing.
///
/// It must outlive its containers, the pool need not outlive it. allocate() throws what pool::allocate() throws.
/// deallocate() throws std::invalid_argument for memory that this resource did not give or has taken back; it does
/// nothing after the service was stopped and in the child of a fork. Safe to use from several threads, sync() excepted.
class VCSM_API memory_resource final : public std::pmr::memory_resource {
  public:
    /// Throws vcsm::no_block for a pool that cannot be used.
    explicit memory_resource(pool& from);
    memory_resource(const memory_resource&) = delete;
    memory_resource& operator=(const memory_resource&) = delete;
    ~memory_resource() override;

    /// Hands over what was written, and takes what VideoCore has written. Nobody may use the containers meanwhile.
    /// Throws vcsm::error where the device refuses.
    void sync();

    /// Where an address lies that is in what this resource gave. Throws std::invalid_argument for any other, and
    /// vcsm::not_supported where VideoCore does not know the memory.
    [[nodiscard]] vcsm::location location(const void* address) const;
    /// The same as a bus address.
    [[nodiscard]] std::uint64_t bus_address(const void* address) const;

  private:
    struct allocations;

    void* do_allocate(std::size_t bytes, std::size_t alignment) override;
    void do_deallocate(void* address, std::size_t bytes, std::size_t alignment) override;
    [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override;

    std::shared_ptr<detail::pool_state> pool_;
    std::unique_ptr<allocations> given_;
};

} // namespace vcsm
