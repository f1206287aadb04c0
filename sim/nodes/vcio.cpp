#include "nodes/vcio.hpp"

#include "kernel/mailbox.hpp"
#include "videocore/storage.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

namespace vcsm::sim {

namespace {

constexpr std::size_t physical_bytes = std::size_t{kernel::mailbox::physical_mask} + 1;

std::uint32_t page_alignment(std::uint32_t wanted) {
    const auto page = static_cast<std::uint32_t>(kernel::page_size());
    const bool power_of_two = wanted != 0 && (wanted & (wanted - 1)) == 0;
    return power_of_two ? std::max(wanted, page) : page;
}

} // namespace

mailbox_memory::mailbox_memory(simulation& all)
    : all_{all}, physical_{videocore::make_memfd("physical", physical_bytes)} {}

kernel::unique_fd mailbox_memory::open_physical(int flags) const {
    return kernel::open("/proc/self/fd/" + std::to_string(physical_.get()), flags & O_ACCMODE);
}

std::uint32_t mailbox_memory::allocate(const request& by, std::uint32_t bytes, std::uint32_t alignment) {
    try {
        allocation made;
        made.memory = all_.memory->allocate_in(kernel::duplicate(physical_.get()), std::nullopt,
                                               {bytes, "mailbox", cache_mode::none, page_alignment(alignment)});
        made.process = all_.process_of(by.who);
        made.process_name = name_of(made.process);
        const std::uint32_t handle = made.memory->videocore_handle();
        all_.watch_process(made.process);
        all_.measure();
        allocations_[handle] = std::move(made);
        return handle;
    } catch (const std::system_error&) {
        return 0; // all that the firmware says
    }
}

std::uint32_t mailbox_memory::lock(std::uint32_t handle) const {
    const auto block = all_.memory->find(handle); // those of /dev/vcsm-cma too
    return block ? static_cast<std::uint32_t>(block->bus_address()) : 0;
}

bool mailbox_memory::unlock(std::uint32_t handle) const {
    return all_.memory->find(handle) != nullptr;
}

bool mailbox_memory::release(std::uint32_t handle) {
    const auto found = allocations_.find(handle);
    if (found == allocations_.end()) {
        return false;
    }
    all_.memory->free(found->second.memory);
    allocations_.erase(found);
    return true;
}

void mailbox_memory::report(allocation& each) {
    if (!each.reported) {
        each.reported = true;
        all_.report.leaks.push_back({each.process_name, each.process, "", each.memory->about().bytes,
                                     each.memory->videocore_handle(), "mailbox allocate",
                                     "never released; a board's firmware keeps it until it reboots"});
    }
}

void mailbox_memory::process_ends(pid_t process) {
    for (auto& [handle, each] : allocations_) {
        if (each.process == process) {
            report(each);
        }
    }
}

void mailbox_memory::finish() {
    for (auto& [handle, each] : allocations_) {
        report(each);
    }
}

namespace {

using words = std::vector<std::uint32_t>;

/// Answers one property in place: `values` is what the program gave room for.
bool answer_property(simulation& all, const request& asked, std::uint32_t tag, std::uint32_t* values, std::size_t count,
                     std::uint32_t& answered_bytes) {
    const auto fails = [&](videocore::operation what) { return all.fault(what, asked) != 0; };
    std::string shown;
    answered_bytes = 4;
    switch (static_cast<kernel::mailbox::tag>(tag)) {
    case kernel::mailbox::tag::get_board_revision:
        if (count < 1) {
            return false;
        }
        values[0] = all.chosen.model->revision;
        return true;
    case kernel::mailbox::tag::allocate_memory:
        if (count < 3) {
            return false;
        }
        ++all.report.calls["mailbox allocate"];
        shown = "allocate {size=" + std::to_string(values[0]) + ", alignment=" + std::to_string(values[1]) +
                ", flags=" + hexadecimal(values[2]) + "}";
        values[0] = fails(videocore::operation::alloc) ? 0 : all.mailbox->allocate(asked, values[0], values[1]);
        break;
    case kernel::mailbox::tag::lock_memory:
        if (count < 1) {
            return false;
        }
        ++all.report.calls["mailbox lock"];
        shown = "lock {handle=" + std::to_string(values[0]) + "}";
        values[0] = fails(videocore::operation::lock) ? 0 : all.mailbox->lock(values[0]);
        break;
    case kernel::mailbox::tag::unlock_memory:
        if (count < 1) {
            return false;
        }
        ++all.report.calls["mailbox unlock"];
        shown = "unlock {handle=" + std::to_string(values[0]) + "}";
        values[0] = fails(videocore::operation::unlock) || !all.mailbox->unlock(values[0]) ? 1 : 0;
        break;
    case kernel::mailbox::tag::release_memory:
        if (count < 1) {
            return false;
        }
        ++all.report.calls["mailbox release"];
        shown = "release {handle=" + std::to_string(values[0]) + "}";
        values[0] = fails(videocore::operation::free) || !all.mailbox->release(values[0]) ? 1 : 0;
        break;
    default:
        return false; // the firmware leaves what it does not know as it was
    }
    if (all.trace.wanted()) {
        all.trace.call("ioctl(" + std::to_string(asked.descriptor(0)) + ", IOCTL_MBOX_PROPERTY, " + shown + ")");
        all.trace.also("{" + hexadecimal(values[0]) + "}");
    }
    return true;
}

} // namespace

answer vcio_ioctl(simulation& all, const request& asked) {
    const std::uint32_t number = asked.word(1);
    if (number != (asked.narrow ? kernel::mailbox::property_32 : kernel::mailbox::property)) {
        return answer::failure(EINVAL);
    }
    const std::uint64_t address = asked.narrow ? asked.word(2) : asked.arguments[2];
    std::uint32_t bytes = 0;
    if (!asked.who.get(address, bytes)) {
        return answer::failure(EFAULT);
    }
    constexpr std::uint32_t most_bytes = 1 << 20; // the driver's is what kmalloc gives
    if (bytes < 12 || bytes > most_bytes) {
        return answer::failure(bytes < 12 ? EINVAL : ENOMEM);
    }
    words buffer((bytes + 3) / 4);
    const auto raw = std::as_writable_bytes(std::span{buffer}).first(bytes);
    if (!asked.who.read(address, raw) || !asked.who.write(address, raw)) {
        return answer::failure(EFAULT);
    }
    const std::size_t end = bytes / 4;
    for (std::size_t at = 2; at + 2 < end && buffer[at] != 0;) {
        const std::size_t count = buffer[at + 1] / 4;
        if (count > end - at - 3) {
            return answer::failure(EINVAL); // runs out of the buffer
        }
        std::uint32_t answered_bytes = 0;
        if (answer_property(all, asked, buffer[at], buffer.data() + at + 3, count, answered_bytes)) {
            buffer[at + 2] = kernel::mailbox::value_answered | answered_bytes;
        }
        at += 3 + count;
    }
    buffer[1] = kernel::mailbox::answered;
    return asked.who.write(address, raw) ? answer::success() : answer::failure(EFAULT);
}

} // namespace vcsm::sim
