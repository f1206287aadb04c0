// A ring, as the Python class sees it.
#pragma once

#include "block.hpp"

#include <vcsm/ring.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace vcsm::python {

/// A vcsm::ring whose waits give up the GIL and let signals through: Ctrl-C ends them. Blocks are known by their
/// numbers, from 0 on; Python keeps an object for each.
class ring {
  public:
    ring(std::size_t blocks, std::size_t size, std::string name, const std::string& cache, std::size_t alignment);
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;
    ~ring();

    [[nodiscard]] std::unique_ptr<block> object_of(std::size_t number) const;
    [[nodiscard]] std::size_t in_use() const;

    /// The next free block; waits for it, unless `wait` says otherwise. Nothing where none comes any more, or none is
    /// there and nobody waits.
    [[nodiscard]] std::optional<std::size_t> acquire(bool wait) const;
    void submit() const;
    /// Takes acquire() back: the block is the next to be acquired. Of the one block that is acquired.
    void put_back() const;
    /// How many blocks are acquired and not yet submitted.
    [[nodiscard]] std::size_t acquired() const;

    /// The oldest block that was passed on; as acquire().
    [[nodiscard]] std::optional<std::size_t> receive(bool wait) const;
    void release() const;
    /// How many blocks are received and not yet released.
    [[nodiscard]] std::size_t received() const;

    void close() const;
    [[nodiscard]] bool closed() const;
    /// Frees the blocks, whoever has them. Those who wait get nothing.
    void free() noexcept;
    [[nodiscard]] bool freed() const noexcept { return state_ == nullptr; }

  private:
    struct state;

    /// Throws vcsm::no_block where it was freed, and in the child of a fork.
    [[nodiscard]] std::shared_ptr<state> open() const;
    template <class Try>
    static std::optional<std::size_t> take(const std::shared_ptr<state>& from, bool wait, Try&& attempt);

    std::string name_;
    std::shared_ptr<state> state_;
};

void define_ring(nb::module_& module);

} // namespace vcsm::python
