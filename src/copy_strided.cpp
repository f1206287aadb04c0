#include "copy_strided.hpp"

#include "copy.hpp"

#include <vcsm/strided.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace vcsm::detail {

namespace {

struct axis {
    std::size_t extent;
    std::ptrdiff_t to;
    std::ptrdiff_t from;
};

std::size_t distance(std::ptrdiff_t stride) noexcept {
    return stride < 0 ? std::size_t{0} - static_cast<std::size_t>(stride) : static_cast<std::size_t>(stride);
}

// Elements at any address: VideoCore's formats are packed, and a slice starts where it likes.
template <class T>
struct __attribute__((packed, may_alias)) anywhere {
    T value;
};

struct sixteen_bytes {
    std::uint64_t half[2];
};

// The strides that occur most are known to the compiler, which then makes vectors of them.
template <class T, std::ptrdiff_t TargetStride, std::ptrdiff_t SourceStride>
void copy_known(std::byte* to, const std::byte* from, std::size_t count) noexcept {
    auto* const targets = reinterpret_cast<anywhere<T>*>(to);
    const auto* const sources = reinterpret_cast<const anywhere<T>*>(from);
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(count); ++i) {
        targets[i * TargetStride].value = sources[i * SourceStride].value;
    }
}

// The compilers' vectors of backward bytes are slower than words turned around, where there is no byte shuffle.
void reverse_bytes(std::byte* to, const std::byte* from, std::size_t count) noexcept {
    for (; count >= 8; count -= 8) {
        std::uint64_t word = 0;
        from -= 7;
        std::memcpy(&word, from, 8);
        word = __builtin_bswap64(word);
        std::memcpy(to, &word, 8);
        to += 8;
        from -= 1;
    }
    for (; count > 0; --count) {
        *to++ = *from--;
    }
}

template <class T>
void copy_row(std::byte* to, const std::byte* from, const axis& along, std::size_t) noexcept {
    constexpr auto element = static_cast<std::ptrdiff_t>(sizeof(T));
    if (along.to == element) {
        switch (along.from) {
        case 2 * element:
            return copy_known<T, 1, 2>(to, from, along.extent);
        case 3 * element:
            return copy_known<T, 1, 3>(to, from, along.extent);
        case 4 * element:
            return copy_known<T, 1, 4>(to, from, along.extent);
        case -element:
            if constexpr (sizeof(T) == 1) {
                return reverse_bytes(to, from, along.extent);
            } else {
                return copy_known<T, 1, -1>(to, from, along.extent);
            }
        case 0:
            return copy_known<T, 1, 0>(to, from, along.extent);
        default:
            break;
        }
    }
    if (along.from == element) {
        switch (along.to) {
        case 2 * element:
            return copy_known<T, 2, 1>(to, from, along.extent);
        case 3 * element:
            return copy_known<T, 3, 1>(to, from, along.extent);
        case 4 * element:
            return copy_known<T, 4, 1>(to, from, along.extent);
        default:
            break;
        }
    }
    for (std::size_t left = along.extent; left > 0; --left) {
        reinterpret_cast<anywhere<T>*>(to)->value = reinterpret_cast<const anywhere<T>*>(from)->value;
        to += along.to;
        from += along.from;
    }
}

void copy_row_of_any(std::byte* to, const std::byte* from, const axis& along, std::size_t bytes) noexcept {
    for (std::size_t left = along.extent; left > 0; --left) {
        std::memcpy(to, from, bytes);
        to += along.to;
        from += along.from;
    }
}

using row_copier = void (*)(std::byte*, const std::byte*, const axis&, std::size_t) noexcept;

row_copier copier_for(std::size_t bytes) noexcept {
    switch (bytes) {
    case 1:
        return &copy_row<std::uint8_t>;
    case 2:
        return &copy_row<std::uint16_t>;
    case 4:
        return &copy_row<std::uint32_t>;
    case 8:
        return &copy_row<std::uint64_t>;
    case 16:
        return &copy_row<sixteen_bytes>;
    default:
        return &copy_row_of_any;
    }
}

// The work left after what can be simplified is: axes sorted so that the last is the one along which the target lies
// closest, without axes of one element, and with axes merged that follow one another in both arrays.
class plan {
  public:
    explicit plan(const strided_layout& layout) noexcept : bytes_{layout.element_bytes} {
        for (std::size_t at = 0; at < layout.shape.size(); ++at) {
            if (layout.shape[at] == 0) {
                empty_ = true;
            } else if (layout.shape[at] > 1) {
                axes_[count_++] = {layout.shape[at], layout.to_strides[at], layout.from_strides[at]};
            }
        }
    }

    void run(std::byte* to, const std::byte* from) noexcept {
        if (empty_ || bytes_ == 0) {
            return;
        }
        walk_the_target_forwards(to, from);
        std::stable_sort(axes_.begin(), axes_.begin() + static_cast<std::ptrdiff_t>(count_),
                         [](const axis& a, const axis& b) { return distance(a.to) > distance(b.to); });
        merge();
        if (count_ > 0 && packed(axes_[count_ - 1])) {
            bytes_ *= axes_[--count_].extent;
        }
        if (count_ == 0) {
            copy_bytes(to, from, bytes_);
            return;
        }
        copy_ = copier_for(bytes_);
        put_the_sources_closest_axis_second();
        outer(to, from, 0);
    }

  private:
    // Rows of this many bytes and more are copied as fast in any order.
    static constexpr std::size_t long_row = 64;
    // Elements along each side of a tile: of 8 bytes, both arrays' parts lie in a level-1 cache of 32 KiB.
    static constexpr std::size_t tile = 32;

    bool packed(const axis& along) const noexcept {
        const auto bytes = static_cast<std::ptrdiff_t>(bytes_);
        return along.to == bytes && along.from == bytes;
    }

    void walk_the_target_forwards(std::byte*& to, const std::byte*& from) noexcept {
        for (std::size_t at = 0; at < count_; ++at) {
            axis& along = axes_[at];
            if (along.to < 0) {
                to += along.to * static_cast<std::ptrdiff_t>(along.extent - 1);
                from += along.from * static_cast<std::ptrdiff_t>(along.extent - 1);
                along.to = -along.to;
                along.from = -along.from;
            }
        }
    }

    void merge() noexcept {
        std::size_t kept = 0;
        for (std::size_t at = 1; at < count_; ++at) {
            axis& outer_one = axes_[kept];
            const axis& inner = axes_[at];
            const auto extent = static_cast<std::ptrdiff_t>(inner.extent);
            if (outer_one.to == inner.to * extent && outer_one.from == inner.from * extent) {
                outer_one = {outer_one.extent * inner.extent, inner.to, inner.from};
            } else {
                axes_[++kept] = inner;
            }
        }
        count_ = count_ == 0 ? 0 : kept + 1;
    }

    // Where the source runs along another axis than the target, as in a transposition, both are walked in tiles: else
    // each element would fetch a cache line of its own.
    void put_the_sources_closest_axis_second() noexcept {
        if (count_ < 2 || bytes_ >= long_row) {
            return;
        }
        const std::size_t last = count_ - 1;
        std::size_t closest = last;
        for (std::size_t at = 0; at < count_; ++at) {
            if (distance(axes_[at].from) < distance(axes_[closest].from)) {
                closest = at;
            }
        }
        if (closest == last) {
            return;
        }
        std::rotate(axes_.begin() + static_cast<std::ptrdiff_t>(closest),
                    axes_.begin() + static_cast<std::ptrdiff_t>(closest) + 1,
                    axes_.begin() + static_cast<std::ptrdiff_t>(last));
        tiled_ = true;
    }

    void outer(std::byte* to, const std::byte* from, std::size_t at) const noexcept {
        if (tiled_ && at + 2 == count_) {
            tiles(to, from);
            return;
        }
        const axis& along = axes_[at];
        if (at + 1 == count_) {
            copy_(to, from, along, bytes_);
            return;
        }
        for (std::size_t left = along.extent; left > 0; --left) {
            outer(to, from, at + 1);
            to += along.to;
            from += along.from;
        }
    }

    void tiles(std::byte* to, const std::byte* from) const noexcept {
        const axis& rows = axes_[count_ - 2];
        const axis& columns = axes_[count_ - 1];
        for (std::size_t column = 0; column < columns.extent; column += tile) {
            const axis part{std::min(tile, columns.extent - column), columns.to, columns.from};
            const auto across = static_cast<std::ptrdiff_t>(column);
            std::byte* row_to = to + across * columns.to;
            const std::byte* row_from = from + across * columns.from;
            for (std::size_t left = rows.extent; left > 0; --left) {
                copy_(row_to, row_from, part, bytes_);
                row_to += rows.to;
                row_from += rows.from;
            }
        }
    }

    std::array<axis, most_axes> axes_;
    std::size_t count_ = 0;
    std::size_t bytes_;
    bool empty_ = false;
    bool tiled_ = false;
    row_copier copy_ = nullptr;
};

} // namespace

void copy_strided(std::byte* to, const std::byte* from, const strided_layout& layout) noexcept {
    plan{layout}.run(to, from);
}

} // namespace vcsm::detail

namespace vcsm {

void copy_strided(std::byte* target, const std::byte* source, const strided& how) {
    if (how.shape.size() != how.target_strides.size() || how.shape.size() != how.source_strides.size()) {
        throw std::invalid_argument{"a copy of " + std::to_string(how.shape.size()) +
                                    " dimensions needs as many strides, and has " +
                                    std::to_string(how.target_strides.size()) + " of the target and " +
                                    std::to_string(how.source_strides.size()) + " of the source"};
    }
    if (how.shape.size() > most_dimensions) {
        throw std::invalid_argument{"a copy has at most " + std::to_string(most_dimensions) + " dimensions, not " +
                                    std::to_string(how.shape.size())};
    }
    if (how.element_bytes == 0) {
        throw std::invalid_argument{"an element of a copy has at least 1 byte"};
    }
    detail::copy_strided(target, source, {how.element_bytes, how.shape, how.target_strides, how.source_strides});
}

} // namespace vcsm
