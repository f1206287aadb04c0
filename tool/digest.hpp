// SHA-256 of what passes by, with a digest for each piece, so that a difference can be placed.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tool {

/// Digests of a stream, piece by piece and as a whole. The pieces must be cut alike in both streams that are compared.
class digest {
  public:
    digest();
    digest(digest&&) noexcept;
    digest& operator=(digest&&) noexcept;
    ~digest();

    void add(std::span<const std::byte> piece);
    /// The whole stream's, as 64 hexadecimal digits. Ends the stream.
    [[nodiscard]] std::string hex();
    /// The number of the first piece that differs from the other's, or nothing.
    [[nodiscard]] std::optional<std::size_t> first_difference(const digest& other) const;

  private:
    struct state;
    using value = std::array<unsigned char, 32>;

    std::unique_ptr<state> state_;
    std::vector<value> pieces_;
};

} // namespace tool
