#include "videocore/heap.hpp"

#include <cassert>
#include <cstdint>
#include <iterator>

namespace vcsm::videocore {

heap::heap(std::size_t size, std::size_t page) : size_{size}, page_{page}, free_{size} {
    if (size > 0) {
        pieces_.emplace(0, piece{size, {}});
        free_pieces_.emplace(size, 0);
    }
}

std::size_t heap::rounded(std::size_t bytes) const noexcept {
    return (bytes + page_ - 1) & ~(page_ - 1);
}

std::optional<std::size_t> heap::take(std::size_t bytes, std::size_t alignment, std::size_t origin) {
    if (bytes == 0 || bytes > size_) {
        return std::nullopt;
    }
    const std::size_t wanted = rounded(bytes);
    const std::size_t step = alignment > page_ ? alignment : page_;
    for (auto candidate = free_pieces_.lower_bound({wanted, 0}); candidate != free_pieces_.end(); ++candidate) {
        const auto [length, start] = *candidate;
        const std::size_t aligned = ((start + origin + step - 1) & ~(step - 1)) - origin;
        if (aligned - start > length || length - (aligned - start) < wanted) {
            continue;
        }
        auto found = pieces_.find(start);
        if (aligned > start) {
            cut(found, aligned - start);
            ++found;
        }
        if (found->second.bytes > wanted) {
            try {
                cut(found, wanted);
            } catch (...) {
                if (aligned > start) {
                    absorb_next(std::prev(found));
                }
                throw;
            }
        }
        found->second.idle = free_pieces_.extract({wanted, aligned});
        free_ -= wanted;
        return aligned;
    }
    return std::nullopt;
}

void heap::cut(by_offset::iterator at, std::size_t bytes) {
    const auto [offset, whole] = std::pair{at->first, at->second.bytes};
    const auto second = free_pieces_.emplace(whole - bytes, offset + bytes).first;
    try {
        pieces_.emplace_hint(std::next(at), offset + bytes, piece{whole - bytes, {}});
    } catch (...) {
        free_pieces_.erase(second);
        throw;
    }
    auto node = free_pieces_.extract({whole, offset});
    node.value() = {bytes, offset};
    free_pieces_.insert(std::move(node));
    at->second.bytes = bytes;
}

void heap::mark_free(by_offset::iterator at) noexcept {
    at->second.idle.value() = {at->second.bytes, at->first};
    free_pieces_.insert(std::move(at->second.idle));
    at->second.idle = {};
}

void heap::absorb_next(by_offset::iterator at) noexcept {
    const auto next = std::next(at);
    if (next == pieces_.end() || !next->second.idle.empty()) {
        return;
    }
    free_pieces_.erase({next->second.bytes, next->first});
    auto node = free_pieces_.extract({at->second.bytes, at->first});
    at->second.bytes += next->second.bytes;
    node.value() = {at->second.bytes, at->first};
    free_pieces_.insert(std::move(node));
    pieces_.erase(next);
}

void heap::give_back(std::size_t offset, std::size_t bytes) noexcept {
    auto found = pieces_.find(offset);
    assert(found != pieces_.end() && !found->second.idle.empty() && found->second.bytes == rounded(bytes));
    if (found == pieces_.end() || found->second.idle.empty() || found->second.bytes != rounded(bytes)) {
        return; // not ours: keep the books whole
    }
    free_ += found->second.bytes;
    mark_free(found);
    absorb_next(found);
    if (found != pieces_.begin() && std::prev(found)->second.idle.empty()) {
        absorb_next(std::prev(found));
    }
}

std::size_t heap::largest_free() const noexcept {
    return free_pieces_.empty() ? 0 : free_pieces_.rbegin()->first;
}

} // namespace vcsm::videocore
