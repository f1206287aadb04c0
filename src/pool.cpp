#include <vcsm/pool.hpp>

#include "pool_state.hpp"

#include <utility>

namespace vcsm {

pool::pool(std::size_t bytes, std::string_view name, const pool_options& options)
    : state_{detail::pool_state::make(bytes, name, options)} {
    state_->begin();
}

pool& pool::operator=(pool&& other) noexcept {
    if (this != &other) {
        if (state_) {
            state_->close();
        }
        state_ = std::move(other.state_);
    }
    return *this;
}

pool::~pool() {
    if (state_) {
        state_->close();
    }
}

detail::pool_state& pool::state() const {
    if (!state_) {
        detail::throw_no_block(detail::fate::freed, {}, 0);
    }
    return *state_;
}

shared_memory pool::allocate(std::size_t size, std::size_t alignment) {
    return state().allocate(size, alignment);
}

std::size_t pool::trim() {
    return state().trim();
}

pool_statistics pool::statistics() const {
    return state().statistics();
}

pool::operator bool() const noexcept {
    return state_ != nullptr && state_->usable();
}

const std::string& pool::name() const {
    return state().name();
}

const pool_options& pool::options() const {
    return state().options();
}

} // namespace vcsm
