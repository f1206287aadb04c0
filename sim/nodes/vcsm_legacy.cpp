#include "nodes/vcsm_legacy.hpp"

#include "kernel/vcsm_legacy.hpp"
#include "videocore/cache_lines.hpp"
#include "videocore/storage.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace vcsm::sim {

namespace {

namespace vc = kernel::vcsm_legacy;

// Handles are offsets of 32 bits; the first pages are nobody's, so that no handle is 0.
constexpr std::size_t handle_space = 0xff000000;
constexpr std::size_t first_handle = 0x100000;
constexpr std::size_t smallest_reserve = 0x100000;

template <class Struct, class Work>
answer with(const request& asked, const Work& work) {
    Struct argument{};
    if (!asked.who.get(asked.word(2), argument)) {
        return answer::failure(EFAULT);
    }
    const int error = work(argument);
    if (error != 0) {
        return answer::failure(error);
    }
    return asked.who.put(asked.word(2), argument) ? answer::success() : answer::failure(EFAULT);
}

cache_mode mode_of(unsigned cached) {
    return static_cast<cache_mode>(cached & 3);
}

} // namespace

legacy_device::legacy_device(simulation& all)
    : all_{all}, memfd_{videocore::make_memfd("vcsm", first_handle + handle_space)}, handles_{handle_space -
                                                                                                  smallest_reserve,
                                                                                              smallest_reserve} {
    struct stat status {};
    if (::fstat(memfd_.get(), &status) != 0) {
        kernel::throw_errno("fstat");
    }
    file_ = key_of(status);
}

answer legacy_device::open(const request& asked, int flags) {
    lifetimes::opened made = all_.lifetimes.open_again(memfd_.get(), flags & O_ACCMODE);
    opened& device = opens_[made.id];
    device.process = all_.process_of(asked.who);
    device.process_name = name_of(device.process);
    all_.watch_process(device.process);
    const answer result = all_.give(asked, made.file, (flags & O_CLOEXEC) != 0);
    if (result.error != 0) {
        all_.lifetimes.forget(made.id);
        opens_.erase(made.id);
    }
    return result;
}

std::optional<answer> legacy_device::control(const request& asked, int descriptor, const struct stat& status) {
    if (!(key_of(status) == file_)) {
        return std::nullopt;
    }
    const auto id = all_.lifetimes.which(asked.who, descriptor, file_);
    const auto device = id ? opens_.find(*id) : opens_.end();
    if (device == opens_.end()) {
        return std::nullopt;
    }
    all_.trace.call("ioctl(" + std::to_string(descriptor) + ", " + hexadecimal(asked.word(1)) + " of /dev/vcsm)");
    return dispatch(asked, device->second);
}

answer legacy_device::dispatch(const request& asked, opened& device) {
    const auto counted = [this](const char* name) -> std::uint64_t& { return all_.report.calls[name]; };
    switch (asked.word(1)) {
    case vc::mem_alloc:
        ++counted("VMCS_SM_IOCTL_MEM_ALLOC");
        return allocate(asked, device);
    case vc::mem_alloc_share:
        ++counted("VMCS_SM_IOCTL_MEM_ALLOC_SHARE");
        return share(asked, device);
    case vc::mem_lock:
        ++counted("VMCS_SM_IOCTL_MEM_LOCK");
        return lock(asked, device, false);
    case vc::mem_lock_cache:
        ++counted("VMCS_SM_IOCTL_MEM_LOCK_CACHE");
        return lock(asked, device, true);
    case vc::mem_unlock:
        ++counted("VMCS_SM_IOCTL_MEM_UNLOCK");
        return unlock(asked, device);
    case vc::mem_resize:
        ++counted("VMCS_SM_IOCTL_MEM_RESIZE");
        return resize(asked, device);
    case vc::mem_free:
        ++counted("VMCS_SM_IOCTL_MEM_FREE");
        return free(asked, device);
    case vc::mem_flush:
        return flush_or_invalidate(asked, device, false);
    case vc::mem_invalid:
        return flush_or_invalidate(asked, device, true);
    case vc::mem_clean_invalid:
        return clean_invalid(asked, device);
    case vc::mem_clean_invalid2_32:
        return clean_invalid2(asked);
    case vc::size_usr_hdl:
    case vc::chk_usr_hdl:
    case vc::map_usr_hdl:
    case vc::map_usr_address:
    case vc::map_vc_hdl_fr_addr:
    case vc::map_vc_hdl_fr_hdl:
    case vc::map_vc_addr_fr_hdl:
        return look_up(asked, device);
    case vc::vc_walk_alloc:
    case vc::host_walk_map:
    case vc::host_walk_pid_alloc:
    case vc::host_walk_pid_map:
        return answer::success(); // the answer goes to the logs
    default:
        return answer::failure(EINVAL);
    }
}

int legacy_device::check(const request& asked, const opened& device, std::uint32_t handle, int unknown) const {
    const auto held = device.handles.find(handle);
    if (held == device.handles.end()) {
        return unknown;
    }
    return held->second.process == all_.process_of(asked.who) ? 0 : EPERM;
}

int legacy_device::check(videocore::operation what, const request& asked, const opened& device, std::uint32_t handle,
                         int unknown) const {
    const int refused = check(asked, device, handle, unknown);
    return refused != 0 ? refused : all_.fault(what, asked);
}

std::shared_ptr<videocore::block> legacy_device::make_memory(std::uint32_t handle, std::size_t bytes,
                                                             const std::string& name, unsigned cached) {
    return all_.memory->allocate_in(kernel::duplicate(memfd_.get()), handle,
                                    {bytes, name, mode_of(cached), kernel::page_size()});
}

answer legacy_device::allocate(const request& asked, opened& device) {
    return with<vc::alloc>(asked, [&](vc::alloc& wanted) {
        if (const int fault = all_.fault(videocore::operation::alloc, asked)) {
            return fault;
        }
        const std::uint64_t bytes = std::uint64_t{wanted.size} * std::max(wanted.num, 1U);
        if (bytes == 0 || bytes > handle_space) {
            return bytes == 0 ? EINVAL : ENOMEM;
        }
        const auto reserved = static_cast<std::size_t>(4 * bytes);
        const auto place = handles_.take(reserved);
        if (!place) {
            return ENOMEM;
        }
        const auto handle = static_cast<std::uint32_t>(first_handle + *place);
        const char* const end = std::find(std::cbegin(wanted.name), std::cend(wanted.name) - 1, '\0');
        allocation made;
        made.name.assign(std::cbegin(wanted.name), end);
        made.cached = wanted.cached & 3;
        made.reserved = reserved;
        made.handles = 1;
        try {
            made.memory = make_memory(handle, static_cast<std::size_t>(bytes), made.name, made.cached);
        } catch (const std::system_error&) {
            handles_.give_back(*place, reserved);
            return ENOMEM;
        }
        all_.measure();
        allocations_[handle] = std::move(made);
        device.handles[handle] = {all_.process_of(asked.who), 1};
        wanted.handle = handle;
        return 0;
    });
}

answer legacy_device::share(const request& asked, opened& device) {
    return with<vc::alloc_share>(asked, [&](vc::alloc_share& wanted) {
        const auto found = allocations_.find(wanted.handle);
        if (found == allocations_.end()) {
            return EINVAL;
        }
        // One place in the memfd, one number: sharing counts it once more.
        ++found->second.handles;
        holding& held = device.handles[wanted.handle];
        held.process = all_.process_of(asked.who);
        ++held.count;
        wanted.size = static_cast<std::uint32_t>(found->second.memory->capacity());
        return 0;
    });
}

answer legacy_device::lock(const request& asked, opened& device, bool change_cache) {
    return with<vc::lock_unlock>(asked, [&](vc::lock_unlock& wanted) {
        if (const int refused = check(videocore::operation::lock, asked, device, wanted.handle, EINVAL)) {
            return refused;
        }
        allocation& found = allocations_.at(wanted.handle);
        if (change_cache) { // the second word is the mode that is wanted, and then the address
            found.cached = (found.cached & 2) | (wanted.addr & 1);
            if ((found.cached & 1) != 0) {
                found.memory->bytes().begin_caching();
            }
        }
        if (found.locks++ == 0) {
            found.memory->begin_access(true);
        }
        wanted.addr = address_of(asked, wanted.handle);
        return 0;
    });
}

answer legacy_device::unlock(const request& asked, opened& device) {
    return with<vc::lock_unlock>(asked, [&](vc::lock_unlock& wanted) {
        if (const int refused = check(videocore::operation::unlock, asked, device, wanted.handle, EINVAL)) {
            return refused;
        }
        allocation& found = allocations_.at(wanted.handle);
        found.locks -= found.locks > 0 ? 1 : 0;
        found.memory->end_access(true);
        return 0;
    });
}

answer legacy_device::resize(const request& asked, opened& device) {
    return with<vc::resize>(asked, [&](vc::resize& wanted) {
        if (const int refused = check(videocore::operation::resize, asked, device, wanted.handle, EFAULT)) {
            return refused;
        }
        allocation& found = allocations_.at(wanted.handle);
        if (found.locks > 0 || address_of(asked, wanted.handle) != 0) {
            return EFAULT;
        }
        if (wanted.new_size == 0) {
            return EINVAL;
        }
        if (kernel::round_up_to_pages(wanted.new_size) > found.reserved) {
            return ENOMEM;
        }
        wanted.old_size = static_cast<std::uint32_t>(found.memory->capacity());
        // The bytes stay where they are; VideoCore's side gets another handle and address.
        const std::vector<std::byte> kept{found.memory->bytes().videocore().begin(),
                                          found.memory->bytes().videocore().end()};
        const auto old_bytes = found.memory->about().bytes;
        all_.memory->free(found.memory);
        found.memory.reset();
        int error = 0;
        try {
            found.memory = make_memory(wanted.handle, wanted.new_size, found.name, found.cached);
        } catch (const std::system_error&) {
            error = ENOMEM;
            found.memory = make_memory(wanted.handle, old_bytes, found.name, found.cached);
        }
        const auto room = found.memory->bytes().videocore();
        std::copy_n(kept.begin(), std::min(kept.size(), room.size()), room.begin());
        found.memory->begin_access(true);
        all_.measure();
        return error;
    });
}

void legacy_device::drop(std::uint32_t handle) noexcept {
    const auto found = allocations_.find(handle);
    if (found != allocations_.end() && --found->second.handles == 0) {
        all_.memory->free(found->second.memory);
        handles_.give_back(handle - first_handle, found->second.reserved);
        allocations_.erase(found);
    }
}

answer legacy_device::free(const request& asked, opened& device) {
    return with<vc::free>(asked, [&](vc::free& wanted) {
        if (const int refused = check(videocore::operation::free, asked, device, wanted.handle, EINVAL)) {
            return refused;
        }
        holding& held = device.handles.at(wanted.handle);
        if (--held.count == 0) {
            device.handles.erase(wanted.handle);
        }
        drop(wanted.handle);
        return 0;
    });
}

void legacy_device::closed(std::uint64_t id) {
    const auto found = opens_.find(id);
    if (found == opens_.end()) {
        return;
    }
    for (const auto& [handle, held] : found->second.handles) {
        for (unsigned i = 0; i < held.count; ++i) {
            drop(handle);
        }
    }
    opens_.erase(found);
}

void legacy_device::process_ends(pid_t process) {
    for (auto& [id, device] : opens_) {
        if (device.process != process || device.reported) {
            continue;
        }
        device.reported = true;
        for (const auto& [handle, held] : device.handles) {
            const allocation& each = allocations_.at(handle);
            all_.report.leaks.push_back({device.process_name, process, each.name, each.memory->about().bytes,
                                         each.memory->videocore_handle(), "VMCS_SM_IOCTL_MEM_ALLOC", ""});
        }
    }
}

bool legacy_device::owns(std::uint32_t videocore_handle) const noexcept {
    return std::any_of(allocations_.begin(), allocations_.end(),
                       [&](const auto& each) { return each.second.memory->videocore_handle() == videocore_handle; });
}

std::optional<answer> legacy_device::map(const request& asked, int descriptor, const struct stat& status,
                                         std::uint64_t bytes, std::uint64_t offset) {
    if (!(key_of(status) == file_)) {
        return std::nullopt;
    }
    const auto id = all_.lifetimes.which(asked.who, descriptor, file_);
    const auto device = id ? opens_.find(*id) : opens_.end();
    if (device == opens_.end()) {
        return std::nullopt;
    }
    all_.trace.call("mmap(" + std::to_string(bytes) + " bytes, /dev/vcsm, " + hexadecimal(offset) + ")");
    if (const int fault = all_.fault(videocore::operation::map, asked)) {
        return answer::failure(fault);
    }
    if (device->second.handles.count(static_cast<std::uint32_t>(offset)) == 0) {
        return answer::failure(ENOMEM);
    }
    if (kernel::round_up_to_pages(bytes) != allocations_.at(static_cast<std::uint32_t>(offset)).memory->capacity()) {
        return answer::failure(EINVAL);
    }
    all_.trace.forget();
    return answer::pass();
}

} // namespace vcsm::sim
