// Python's arrays and buffers as what they are to a copy: an address, a shape, strides.
#pragma once

#include "copy_strided.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>

namespace vcsm::python {

namespace nb = nanobind;

/// The elements of a Python object, kept where they are for as long as this exists. Made and destroyed with the GIL
/// held, used without.
class elements {
  public:
    enum class use : unsigned char { read, write };

    /// Of anything with a buffer, NumPy arrays of types that have none (such as datetime64), and DLPack tensors of the
    /// CPU. Throws TypeError where it has no elements in memory or they are Python objects, ValueError where they are
    /// to be written and cannot.
    elements(nb::handle object, use what_for);
    elements(const elements&) = delete;
    elements& operator=(const elements&) = delete;
    ~elements();

    /// All elements, without the gaps between them.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    /// Whether they lie in C order without gaps.
    [[nodiscard]] bool packed() const noexcept;
    /// Element [0, 0, …].
    [[nodiscard]] std::byte* first() const noexcept { return first_; }
    /// Whether any of them lies in this memory.
    [[nodiscard]] bool touches(std::span<const std::byte> memory) const noexcept;

    /// Copies them to `to` in C order, without gaps; or from there. `to` may be memory that they lie in.
    void gather(std::byte* to) const;
    void scatter(const std::byte* from) const;

  private:
    void take_buffer(nb::handle object, use what_for);
    bool take_numpy(nb::handle object);
    bool take_dlpack(nb::handle object, use what_for);
    template <class Tensor>
    bool take_tensor(nb::handle object, std::optional<Tensor>& kept);
    void measure();

    std::array<std::size_t, detail::most_axes> shape_{};
    std::array<std::ptrdiff_t, detail::most_axes> strides_{}; // in bytes
    std::size_t axes_ = 0;
    std::size_t element_bytes_ = 1;
    std::size_t bytes_ = 0;
    std::byte* first_ = nullptr;

    // What keeps them there.
    Py_buffer buffer_{};
    std::optional<nb::ndarray<nb::ro>> read_tensor_;
    std::optional<nb::ndarray<>> written_tensor_;
    nb::object owner_;
};

} // namespace vcsm::python
