#include "buffers.hpp"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vcsm::python {

namespace {

std::string kind_name(nb::handle object) {
    return nb::type_name(object.type()).c_str();
}

[[noreturn]] void throw_objects(nb::handle object) {
    const std::string text = "cannot copy a " + kind_name(object) +
                             " of Python objects: VideoCore memory holds bytes; give it a numeric dtype";
    throw nb::type_error(text.c_str());
}

// Whether a format, as the module struct and PEP 3118 write it, has an 'O'. Names of fields stand between colons.
bool has_objects(const char* format) noexcept {
    bool in_name = false;
    for (; format != nullptr && *format != '\0'; ++format) {
        if (*format == ':') {
            in_name = !in_name;
        } else if (*format == 'O' && !in_name) {
            return true;
        }
    }
    return false;
}

} // namespace

elements::elements(nb::handle object, use what_for) {
    if (PyObject_CheckBuffer(object.ptr()) != 0) {
        take_buffer(object, what_for);
    } else if (!take_dlpack(object, what_for)) {
        const std::string text = "cannot copy " + std::string{what_for == use::read ? "from" : "to"} + " a " +
                                 kind_name(object) + ": it has no buffer; make it bytes or an array first";
        throw nb::type_error(text.c_str());
    }
    measure();
}

elements::~elements() {
    PyBuffer_Release(&buffer_); // of an empty one: nothing
}

void elements::take_buffer(nb::handle object, use what_for) {
    if (PyObject_GetBuffer(object.ptr(), &buffer_, what_for == use::read ? PyBUF_FULL_RO : PyBUF_FULL) != 0) {
        nb::python_error refused; // takes the error that Python has set
        buffer_ = {};
        if (nb::hasattr(object, "__array_interface__") && take_numpy(object)) {
            if (what_for == use::write && !nb::cast<bool>(object.attr("flags").attr("writeable"))) {
                throw nb::value_error("cannot copy to an array that is read-only");
            }
            return;
        }
        if (what_for == use::write && !refused.matches(PyExc_TypeError)) {
            const std::string text = "cannot copy to a " + kind_name(object) + ": it is read-only";
            throw nb::value_error(text.c_str());
        }
        throw refused;
    }
    if (has_objects(buffer_.format)) {
        PyBuffer_Release(&buffer_);
        throw_objects(object);
    }
    if (buffer_.suboffsets != nullptr) {
        for (int axis = 0; axis < buffer_.ndim; ++axis) {
            if (buffer_.suboffsets[axis] >= 0) {
                PyBuffer_Release(&buffer_);
                throw nb::type_error("cannot copy a buffer of pointers to rows: make it one array first");
            }
        }
    }
    first_ = static_cast<std::byte*>(buffer_.buf);
    element_bytes_ = static_cast<std::size_t>(buffer_.itemsize);
    axes_ = static_cast<std::size_t>(buffer_.ndim);
    // Some that lie in C order leave these out whatever they are asked for: ctypes its strides.
    auto next = static_cast<std::ptrdiff_t>(element_bytes_);
    for (std::size_t axis = axes_; axis-- > 0;) {
        shape_[axis] =
            static_cast<std::size_t>(buffer_.shape != nullptr ? buffer_.shape[axis] : buffer_.len / buffer_.itemsize);
        strides_[axis] = buffer_.strides != nullptr ? buffer_.strides[axis] : next;
        next *= static_cast<std::ptrdiff_t>(shape_[axis]);
    }
}

bool elements::take_numpy(nb::handle object) {
    for (const char* const name : {"dtype", "shape", "strides", "itemsize", "flags"}) {
        if (!nb::hasattr(object, name)) {
            return false;
        }
    }
    if (nb::cast<bool>(object.attr("dtype").attr("hasobject"))) {
        throw_objects(object);
    }
    const nb::tuple shape{object.attr("shape")};
    const nb::tuple strides{object.attr("strides")};
    if (nb::len(shape) > detail::most_axes) {
        return false;
    }
    axes_ = nb::len(shape);
    for (std::size_t axis = 0; axis < axes_; ++axis) {
        shape_[axis] = nb::cast<std::size_t>(shape[axis]);
        strides_[axis] = nb::cast<std::ptrdiff_t>(strides[axis]);
    }
    element_bytes_ = nb::cast<std::size_t>(object.attr("itemsize"));
    const nb::object address = object.attr("__array_interface__")["data"][0];
    first_ = reinterpret_cast<std::byte*>(nb::cast<std::uintptr_t>(address));
    owner_ = nb::borrow(object);
    return true;
}

bool elements::take_dlpack(nb::handle object, use what_for) {
    if (!nb::hasattr(object, "__dlpack__")) {
        return false;
    }
    return what_for == use::read ? take_tensor(object, read_tensor_) : take_tensor(object, written_tensor_);
}

template <class Tensor>
bool elements::take_tensor(nb::handle object, std::optional<Tensor>& kept) {
    Tensor tensor;
    if (!nb::try_cast(object, tensor) || tensor.ndim() > detail::most_axes) {
        return false;
    }
    if (tensor.device_type() != nb::device::cpu::value) {
        throw nb::type_error("cannot copy a tensor that lies in another processor's memory: move it to the CPU first");
    }
    kept = std::move(tensor);
    axes_ = kept->ndim();
    element_bytes_ = kept->itemsize();
    for (std::size_t axis = 0; axis < axes_; ++axis) {
        shape_[axis] = kept->shape(axis);
        strides_[axis] = static_cast<std::ptrdiff_t>(kept->stride(axis) * static_cast<std::int64_t>(element_bytes_));
    }
    // One that was taken to be read is never written.
    first_ = const_cast<std::byte*>(static_cast<const std::byte*>(kept->data()));
    return true;
}

void elements::measure() {
    bytes_ = element_bytes_;
    for (std::size_t axis = 0; axis < axes_; ++axis) {
        bytes_ *= shape_[axis];
    }
}

bool elements::packed() const noexcept {
    auto expected = static_cast<std::ptrdiff_t>(element_bytes_);
    for (std::size_t axis = axes_; axis-- > 0;) {
        if (shape_[axis] > 1 && strides_[axis] != expected) {
            return false;
        }
        expected *= static_cast<std::ptrdiff_t>(shape_[axis]);
    }
    return true;
}

bool elements::touches(std::span<const std::byte> memory) const noexcept {
    if (bytes_ == 0) {
        return false;
    }
    // As integers: the pointers may be into different objects.
    auto lowest = reinterpret_cast<std::uintptr_t>(first_);
    std::uintptr_t end = lowest + element_bytes_;
    for (std::size_t axis = 0; axis < axes_; ++axis) {
        const auto reach = strides_[axis] * static_cast<std::ptrdiff_t>(shape_[axis] - 1);
        if (reach < 0) {
            lowest -= std::uintptr_t{0} - static_cast<std::uintptr_t>(reach);
        } else {
            end += static_cast<std::uintptr_t>(reach);
        }
    }
    const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
    return lowest < begin + memory.size() && begin < end;
}

namespace {

// Of an array of that shape in C order without gaps.
std::array<std::ptrdiff_t, detail::most_axes> packed_strides(std::span<const std::size_t> shape,
                                                             std::size_t element_bytes) noexcept {
    std::array<std::ptrdiff_t, detail::most_axes> strides{};
    auto next = static_cast<std::ptrdiff_t>(element_bytes);
    for (std::size_t axis = shape.size(); axis-- > 0;) {
        strides[axis] = next;
        next *= static_cast<std::ptrdiff_t>(shape[axis]);
    }
    return strides;
}

} // namespace

void elements::gather(std::byte* to) const {
    if (bytes_ == 0) {
        return;
    }
    if (packed()) {
        std::memmove(to, first_, bytes_);
        return;
    }
    const std::span<const std::size_t> shape{shape_.data(), axes_};
    const auto strides = packed_strides(shape, element_bytes_);
    const detail::strided_layout layout{element_bytes_, shape, {strides.data(), axes_}, {strides_.data(), axes_}};
    if (touches({to, bytes_})) {
        // The one case that needs memory in between: an array that is rearranged onto itself.
        std::vector<std::byte> between(bytes_);
        detail::copy_strided(between.data(), first_, layout);
        std::memcpy(to, between.data(), bytes_);
    } else {
        detail::copy_strided(to, first_, layout);
    }
}

void elements::scatter(const std::byte* from) const {
    if (bytes_ == 0) {
        return;
    }
    if (packed()) {
        std::memmove(first_, from, bytes_);
        return;
    }
    const std::span<const std::size_t> shape{shape_.data(), axes_};
    const auto strides = packed_strides(shape, element_bytes_);
    const detail::strided_layout layout{element_bytes_, shape, {strides_.data(), axes_}, {strides.data(), axes_}};
    if (touches({from, bytes_})) {
        const std::vector<std::byte> between(from, from + bytes_);
        detail::copy_strided(first_, between.data(), layout);
    } else {
        detail::copy_strided(first_, from, layout);
    }
}

} // namespace vcsm::python
