// vcsm_clean_invalid() and vcsm_clean_invalid2(): the CPU's cache, range by range. All ranges are looked at before the
// first is touched, so that a wrong one leaves everything as it was.
#include "failure.hpp"

#include "service.hpp"

#include <interface/vcsm/user-vcsm.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using vcsm::detail::service;

constexpr unsigned forget_bit = 1;
constexpr unsigned clean_bit = 2;

struct wish {
    std::uint32_t handle;
    vcsm::device::strided_range range;
    unsigned command;
};

void check_command(unsigned command) {
    if (command > (forget_bit | clean_bit)) {
        throw std::invalid_argument{std::to_string(command) + " is no command: those are 0 to 3"};
    }
}

void fulfil(const std::vector<wish>& wishes) {
    for (const wish& one : wishes) {
        service::instance().maintain(one.handle, one.range, (one.command & clean_bit) != 0,
                                     (one.command & forget_bit) != 0);
    }
}

/// The address in the block whose lower 32 bits are those.
std::uintptr_t complete(std::uint32_t low, std::uintptr_t block) {
    constexpr std::uintptr_t low_bits = 0xffffffff;
    const std::uintptr_t found = (block & ~low_bits) | low;
    if constexpr (sizeof(std::uintptr_t) > sizeof(std::uint32_t)) {
        if (found < block) { // the block goes across a multiple of 2^32
            return found + low_bits + 1;
        }
    }
    return found;
}

} // namespace

extern "C" {

int vcsm_clean_invalid(struct vcsm_user_clean_invalid_s* s) {
    return vcsm::c::or_errno(__func__, [&] {
        if (s == nullptr) {
            throw std::invalid_argument{"no list was given"};
        }
        std::vector<wish> wishes;
        for (const auto& entry : s->s) {
            if (entry.cmd == 0) {
                break;
            }
            check_command(entry.cmd);
            const auto block = reinterpret_cast<std::uintptr_t>(service::instance().handles().address_of(entry.handle));
            const auto range = service::instance().range_in(entry.handle, complete(entry.addr, block), entry.size);
            wishes.push_back({entry.handle, range, entry.cmd});
        }
        fulfil(wishes);
    });
}

int vcsm_clean_invalid2(struct vcsm_user_clean_invalid2_s* s) {
    return vcsm::c::or_errno(__func__, [&] {
        if (s == nullptr) {
            throw std::invalid_argument{"no list was given"};
        }
        std::vector<wish> wishes;
        for (unsigned i = 0; i < s->op_count; ++i) {
            const auto& entry = s->s[i];
            if (entry.invalidate_mode == 0) {
                continue;
            }
            check_command(entry.invalidate_mode);
            if (entry.block_size == 0) {
                throw std::invalid_argument{"entry " + std::to_string(i) + " has a block_size of 0"};
            }
            const std::uint32_t handle = service::instance().handles().handle_at(entry.start_address);
            const auto range =
                service::instance().range_in(handle, reinterpret_cast<std::uintptr_t>(entry.start_address),
                                             entry.block_size, entry.block_count, entry.inter_block_stride);
            wishes.push_back({handle, range, entry.invalidate_mode});
        }
        fulfil(wishes);
    });
}

} // extern "C"
