// /dev/vcsm: addresses, and the cache.
#include "kernel/vcsm_legacy.hpp"

#include "nodes/vcsm_legacy.hpp"
#include "videocore/cache_lines.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <sys/sysmacros.h>

namespace vcsm::sim {

namespace {

namespace vc = kernel::vcsm_legacy;

constexpr std::uint32_t highest_command = vc::command_cleans | vc::command_invalidates;

} // namespace

std::vector<legacy_device::mapped> legacy_device::mappings_of(const request& asked) const {
    std::vector<mapped> found;
    const std::string text = text_of(asked.who.proc("maps"));
    for (std::size_t at = 0; at < text.size();) {
        unsigned long long start = 0;
        unsigned long long end = 0;
        unsigned long long offset = 0;
        unsigned major_number = 0;
        unsigned minor_number = 0;
        unsigned long number = 0;
        if (std::sscanf(text.c_str() + at, "%llx-%llx %*s %llx %x:%x %lu", &start, &end, &offset, &major_number,
                        &minor_number, &number) == 6 &&
            file_key{makedev(major_number, minor_number), number} == file_) {
            found.push_back({start, end, static_cast<std::uint32_t>(offset)});
        }
        at = std::min(text.find('\n', at), text.size() - 1) + 1;
    }
    return found;
}

std::uint32_t legacy_device::address_of(const request& asked, std::uint32_t handle) const {
    for (const mapped& each : mappings_of(asked)) {
        if (each.offset == handle) {
            return static_cast<std::uint32_t>(each.start);
        }
    }
    return 0;
}

void legacy_device::maintain(std::uint32_t handle, std::size_t from, std::size_t bytes, bool cleans, bool invalidates) {
    const auto found = allocations_.find(handle);
    if (found == allocations_.end() || !found->second.memory->bytes().cached()) {
        return;
    }
    const videocore::copies& all = found->second.memory->bytes().all();
    constexpr std::size_t line = videocore::cache_line_bytes;
    const std::size_t first = std::min(from / line * line, all.cpu.size());
    const std::size_t last = std::min((from + bytes + line - 1) / line * line, all.cpu.size());
    if (last <= first) {
        return;
    }
    const videocore::copies part{all.videocore.subspan(first, last - first), all.cpu.subspan(first, last - first),
                                 all.baseline.subspan(first, last - first)};
    if (cleans) {
        videocore::clean(part);
    }
    if (invalidates) {
        videocore::invalidate(part);
    }
}

void legacy_device::maintain_at(const request& asked, std::uint32_t address, std::size_t bytes, bool cleans,
                                bool invalidates) {
    for (const mapped& each : mappings_of(asked)) {
        if (address >= each.start && address < each.end) {
            maintain(each.offset, static_cast<std::size_t>(address - each.start), bytes, cleans, invalidates);
        }
    }
}

answer legacy_device::flush_or_invalidate(const request& asked, opened& device, bool invalidates) {
    vc::cache wanted{};
    if (!asked.who.get(asked.word(2), wanted)) {
        return answer::failure(EFAULT);
    }
    if (const int error = check(asked, device, wanted.handle, EINVAL)) {
        return answer::failure(error);
    }
    maintain_at(asked, wanted.addr, wanted.size, !invalidates, invalidates);
    return answer::success();
}

answer legacy_device::clean_invalid(const request& asked, opened& device) {
    vc::clean_invalid wanted{};
    if (!asked.who.get(asked.word(2), wanted)) {
        return answer::failure(EFAULT);
    }
    for (const auto& entry : wanted.s) {
        if (entry.cmd == 0) {
            break;
        }
        if (const int error = check(asked, device, entry.handle, EINVAL)) {
            return answer::failure(error);
        }
        maintain_at(asked, entry.addr, entry.size, (entry.cmd & vc::command_cleans) != 0,
                    (entry.cmd & vc::command_invalidates) != 0);
    }
    return answer::success();
}

answer legacy_device::clean_invalid2(const request& asked) {
    vc::clean_invalid2_32 head{};
    if (!asked.who.get(asked.word(2), head)) {
        return answer::failure(EFAULT);
    }
    for (std::uint32_t i = 0; i < head.op_count; ++i) {
        vc::clean_invalid2_entry_32 entry{};
        if (!asked.who.get(asked.word(2) + sizeof head + i * sizeof entry, entry)) {
            return answer::failure(EFAULT);
        }
        if (entry.mode == 0) {
            continue;
        }
        if (entry.mode > highest_command || entry.block_size == 0) {
            return answer::failure(EINVAL);
        }
        for (std::uint32_t block = 0; block < entry.block_count; ++block) {
            maintain_at(asked, entry.start_address + block * entry.inter_block_stride, entry.block_size,
                        (entry.mode & vc::command_cleans) != 0, (entry.mode & vc::command_invalidates) != 0);
        }
    }
    return answer::success();
}

answer legacy_device::look_up(const request& asked, opened& device) {
    const auto known = [&](std::uint32_t handle) -> const allocation* {
        return device.handles.count(handle) == 0 ? nullptr : &allocations_.at(handle);
    };
    const auto put = [&](const auto& argument) {
        return asked.who.put(asked.word(2), argument) ? answer::success() : answer::failure(EFAULT);
    };
    if (asked.word(1) == vc::size_usr_hdl) {
        vc::size wanted{};
        if (!asked.who.get(asked.word(2), wanted)) {
            return answer::failure(EFAULT);
        }
        const allocation* const found = known(wanted.handle);
        wanted.bytes = found != nullptr ? static_cast<std::uint32_t>(found->memory->capacity()) : 0;
        return put(wanted);
    }
    if (asked.word(1) == vc::chk_usr_hdl) {
        vc::check wanted{};
        if (!asked.who.get(asked.word(2), wanted)) {
            return answer::failure(EFAULT);
        }
        if (const int error = check(asked, device, wanted.handle, EINVAL)) {
            return answer::failure(error);
        }
        const allocation* const found = known(wanted.handle);
        wanted.addr = address_of(asked, wanted.handle);
        wanted.size = static_cast<std::uint32_t>(found->memory->capacity());
        wanted.cache = found->cached;
        return put(wanted);
    }
    vc::map wanted{};
    if (!asked.who.get(asked.word(2), wanted)) {
        return answer::failure(EFAULT);
    }
    const bool by_address = asked.word(1) == vc::map_usr_hdl || asked.word(1) == vc::map_vc_hdl_fr_addr;
    std::uint32_t handle = wanted.handle;
    if (by_address) {
        handle = 0;
        for (const mapped& each : mappings_of(asked)) {
            if (wanted.addr >= each.start && wanted.addr < each.end) {
                handle = each.offset;
            }
        }
    }
    const allocation* const found = known(handle);
    const std::uint32_t videocore_handle = found != nullptr ? found->memory->videocore_handle() : 0;
    wanted.size = found != nullptr ? static_cast<std::uint32_t>(found->memory->capacity()) : 0;
    switch (asked.word(1)) {
    case vc::map_usr_hdl:
        wanted.handle = found != nullptr ? handle : 0;
        break;
    case vc::map_usr_address:
        wanted.addr = found != nullptr ? address_of(asked, handle) : 0;
        break;
    case vc::map_vc_addr_fr_hdl:
        wanted.addr = found != nullptr ? static_cast<std::uint32_t>(found->memory->bus_address()) : 0;
        break;
    default: // map_vc_hdl_fr_addr, map_vc_hdl_fr_hdl
        wanted.handle = videocore_handle;
        break;
    }
    return put(wanted);
}

} // namespace vcsm::sim
