#include "digest.hpp"

#include "command.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

namespace tool {

struct digest::state {
    EVP_MD_CTX* whole = EVP_MD_CTX_new();

    state() = default;
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    ~state() { EVP_MD_CTX_free(whole); }
};

namespace {

void check(bool done) {
    if (!done) {
        throw failed{"cannot compute a SHA-256: libcrypto refused"};
    }
}

} // namespace

digest::digest() : state_{std::make_unique<state>()} {
    check(state_->whole != nullptr && EVP_DigestInit_ex(state_->whole, EVP_sha256(), nullptr) == 1);
}
digest::digest(digest&&) noexcept = default;
digest& digest::operator=(digest&&) noexcept = default;
digest::~digest() = default;

void digest::add(std::span<const std::byte> piece) {
    check(EVP_DigestUpdate(state_->whole, piece.data(), piece.size()) == 1);
    // A copy of the running state, ended here, costs far less than a second pass over the piece.
    const state so_far;
    value at_this_piece{};
    check(so_far.whole != nullptr && EVP_MD_CTX_copy_ex(so_far.whole, state_->whole) == 1 &&
          EVP_DigestFinal_ex(so_far.whole, at_this_piece.data(), nullptr) == 1);
    pieces_.push_back(at_this_piece);
}

std::string digest::hex() {
    value whole{};
    check(EVP_DigestFinal_ex(state_->whole, whole.data(), nullptr) == 1);
    return fmt::format("{:02x}", fmt::join(whole, ""));
}

std::optional<std::size_t> digest::first_difference(const digest& other) const {
    const auto [mine, theirs] =
        std::mismatch(pieces_.begin(), pieces_.end(), other.pieces_.begin(), other.pieces_.end());
    if (mine == pieces_.end() && theirs == other.pieces_.end()) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(mine - pieces_.begin());
}

} // namespace tool
