// A block, as the Python classes see it.
#pragma once

#include <vcsm/shared_memory.hpp>

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace vcsm::detail {
class allocation;
class block;
} // namespace vcsm::detail

namespace vcsm::python {

namespace nb = nanobind;

/// A shared_memory that several Python threads may use while another closes it. Every member gives up the GIL while it
/// asks the device.
class block {
  public:
    /// Whose it is to free: this object's, or that of a ring, which keeps `memory`.
    enum class owner : unsigned char { itself, ring };

    block(std::size_t size, std::string name, const std::string& cache, std::size_t alignment);
    explicit block(shared_memory&& made);
    block(std::shared_ptr<shared_memory> memory, owner whose);
    block(const block&) = delete;
    block& operator=(const block&) = delete;
    ~block();

    /// `size` 0: all that the descriptor stands for.
    [[nodiscard]] static std::unique_ptr<block> from_dmabuf(int descriptor, std::string name, std::size_t size);
    [[nodiscard]] std::unique_ptr<block> share() const;

    /// Frees the block. Throws vcsm::error (EBUSY) for a ring's.
    void close();
    [[nodiscard]] bool closed() const noexcept { return memory_ == nullptr || !*memory_; }

    /// The block. Throws vcsm::no_block where it was closed.
    [[nodiscard]] std::shared_ptr<shared_memory> memory() const;
    /// The same, as what lies below it; a lock of `kind` begins.
    struct locked {
        detail::held_lock lock;
        std::shared_ptr<detail::allocation> allocation;
        std::byte* data;
        std::size_t size;
    };
    [[nodiscard]] locked lock(detail::access_kind kind) const;

    /// Also of a closed block.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    void copy_from(nb::handle source, std::size_t offset) const;
    void copy_from_address(std::uintptr_t source, std::size_t bytes, std::size_t offset) const;
    void copy_to(nb::handle target, std::size_t offset) const;
    /// From the offset to the block's end.
    [[nodiscard]] nb::bytes to_bytes(std::size_t offset) const;
    void resize(std::size_t size) const;

  private:
    void let_go() noexcept;
    void learn_from_memory();

    std::string name_;
    std::shared_ptr<shared_memory> memory_;
    bool locks_at_once_ = false; // without a system call
    owner whose_ = owner::itself;
};

void define_block(nb::module_& module);

} // namespace vcsm::python
