#include "device/fake_drivers.hpp"

#include "kernel/dma_buf.hpp"
#include "kernel/dma_heap.hpp"
#include "kernel/drm.hpp"
#include "kernel/mailbox.hpp"
#include "kernel/udmabuf.hpp"
#include "kernel/vcsm_cma.hpp"
#include "kernel/vcsm_legacy.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <sys/mman.h>
#include <unistd.h>

namespace fakes {

namespace {

namespace real = vcsm::kernel;

std::size_t whole_pages(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

/// Whether the kernel could write there, told by the real one.
bool is_writable(void* address, std::size_t bytes) {
    int ends[2] = {-1, -1};
    if (::pipe(ends) != 0) {
        throw std::runtime_error{"no pipe"};
    }
    const bool written = ::write(ends[1], address, bytes) == static_cast<ssize_t>(bytes) &&
                         ::read(ends[0], address, bytes) == static_cast<ssize_t>(bytes);
    ::close(ends[0]);
    ::close(ends[1]);
    return written;
}

/// A node whose ioctls a driver answers.
template <class Driver>
struct node final : object {
    Driver& driver;
    node(Driver& of, const std::string& path) : driver{of} {
        kind = path;
        backing = make_memfd(0);
    }
    int ioctl(unsigned long number, void* argument) override { return driver.ioctl(number, argument); }
};

template <class Driver>
void add_driver(kernel& in, const std::string& path, Driver& driver) {
    in.add_node(path, [&driver, path] { return std::make_shared<node<Driver>>(driver, path); });
}

/// Puts the descriptor's number, or its errno, where a driver's caller finds it: 0 or a negative errno.
template <class Field>
int give(kernel& in, const std::shared_ptr<dma_buf>& made, Field& field) {
    const int installed = in.install(made);
    if (installed < 0) {
        return installed;
    }
    field = static_cast<Field>(installed);
    return 0;
}

bool signals_can_interrupt() {
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    return ::sigismember(&blocked, SIGALRM) == 0 || ::sigismember(&blocked, SIGUSR1) == 0 ||
           ::sigismember(&blocked, SIGINT) == 0;
}

} // namespace

// dma-bufs

std::shared_ptr<dma_buf> make_dma_buf(kernel& in, const std::string& exporter, std::size_t bytes) {
    auto made = std::make_shared<dma_buf>();
    made->in = &in;
    made->kind = "dma-buf";
    made->exporter = exporter;
    made->bytes = whole_pages(bytes);
    made->backing = make_memfd(made->bytes);
    return made;
}

int dma_buf::ioctl(unsigned long number, void* argument) {
    if (number == real::dma_buf::set_name_a || number == real::dma_buf::set_name_b) {
        const auto* const text = static_cast<const char*>(argument);
        if (::strnlen(text, 32) > 31) {
            return -EINVAL;
        }
        name = text;
        return 0;
    }
    if (number != real::dma_buf::sync) {
        return -ENOTTY;
    }
    std::uint64_t flags = 0;
    std::memcpy(&flags, argument, sizeof flags);
    if ((flags & ~std::uint64_t{7}) != 0 || (flags & 3) == 0) {
        return -EINVAL;
    }
    for (const dma_buf* at = this; at != nullptr; at = at->imported.get()) {
        if (at->made_by_alloc) {
            in->crashes.push_back("SYNC that reaches a block made by ALLOC");
        }
    }
    syncs.push_back(flags);
    return 0;
}

object::place dma_buf::map(std::size_t wanted, off_t) {
    if (!mappable) {
        return {-ENODEV, 0};
    }
    if (wanted > bytes) {
        return {-EINVAL, 0};
    }
    return imported ? imported->map(wanted, 0) : place{backing, 0}; // an offset is ignored
}

std::string dma_buf::fdinfo() const {
    return "size:\t" + std::to_string(bytes) + "\ncount:\t1\nexp_name:\t" + exporter + "\n" +
           (name.empty() ? "" : "name:\t" + name + "\n");
}

std::size_t living::count() const {
    return static_cast<std::size_t>(
        std::count_if(made.begin(), made.end(), [](const auto& each) { return !each.expired(); }));
}

std::shared_ptr<dma_buf> living::last() const {
    return made.empty() ? nullptr : made.back().lock();
}

// vcsm-cma

vcsm_cma_driver::vcsm_cma_driver(kernel& kernel_of, const std::string& path) : in{kernel_of} {
    add_driver(in, path, *this);
}

int vcsm_cma_driver::ioctl(unsigned long number, void* argument) {
    switch (number & 0xff) { // the driver looks no further
    case 0x5a:
        return alloc(argument);
    case 0x5b:
        return import(argument);
    default:
        return -EINVAL;
    }
}

int vcsm_cma_driver::alloc(void* argument) {
    real::vcsm_cma::alloc call{};
    std::memcpy(&call, argument, sizeof call);
    if (!is_writable(argument, sizeof call)) {
        in.crashes.push_back("ALLOC with its struct in read-only memory");
        return -EFAULT;
    }
    if (signals_can_interrupt()) {
        in.crashes.push_back("a signal may interrupt ALLOC");
    }
    if (call.size == 0 || call.size > 0xfffff000) {
        return -EINVAL;
    }
    const std::size_t bytes = whole_pages(call.size);
    if (call.size >= 0x7f000000 || bytes > free_bytes) {
        return -ENOMEM;
    }
    auto made = make_dma_buf(in, "vc_sm_cma", bytes);
    made->made_by_alloc = true;
    const int installed = in.install(made);
    if (installed < 0) {
        in.crashes.push_back("ALLOC without a free descriptor");
        return 0; // and the handle is not written
    }
    blocks.made.push_back(made);
    call.handle = installed;
    call.vc_handle = next_handle++;
    call.dma_addr = next_bus_address;
    next_bus_address += bytes;
    std::memcpy(argument, &call, sizeof call);
    return 0;
}

int vcsm_cma_driver::import(void* argument) {
    real::vcsm_cma::import_dmabuf call{};
    std::memcpy(&call, argument, sizeof call);
    if (!is_writable(argument, sizeof call)) {
        in.crashes.push_back("IMPORT with its struct in read-only memory");
        return -EFAULT;
    }
    const auto source = std::dynamic_pointer_cast<dma_buf>(in.at(call.dmabuf_fd));
    if (!source) {
        in.crashes.push_back("IMPORT of what is no dma-buf");
        return -EFAULT;
    }
    if (source->exporter == "vc_sm_cma") {
        in.crashes.push_back("IMPORT of a block of the driver's own");
    }
    if (!source->contiguous) {
        return -ENOMEM;
    }
    auto made = make_dma_buf(in, "vc_sm_cma", source->bytes);
    made->imported = source;
    const int installed = in.install(made);
    if (installed < 0) {
        return -EFAULT;
    }
    blocks.made.push_back(made);
    call.handle = installed;
    call.vc_handle = next_handle++;
    call.size = static_cast<std::uint32_t>(source->bytes);
    call.dma_addr = next_bus_address;
    next_bus_address += source->bytes;
    std::memcpy(argument, &call, sizeof call);
    return 0;
}

// dma-heap

heap_driver::heap_driver(kernel& kernel_of, const std::string& name, bool contiguous_memory)
    : in{kernel_of}, exporter{name}, contiguous{contiguous_memory} {
    add_driver(in, "/dev/dma_heap/" + name, *this);
}

int heap_driver::ioctl(unsigned long number, void* argument) {
    // It looks at the low byte of the number alone, and copies as many bytes as the number says.
    if (_IOC_NR(number) != _IOC_NR(real::dma_heap::alloc)) {
        return -EINVAL;
    }
    dma_heap_allocation_data call{};
    std::memcpy(&call, argument, std::min<std::size_t>(sizeof call, _IOC_SIZE(number)));
    if (call.fd != 0 || (call.fd_flags & ~static_cast<unsigned>(O_CLOEXEC | O_ACCMODE)) != 0 || call.heap_flags != 0) {
        return -EINVAL;
    }
    const std::size_t bytes = whole_pages(static_cast<std::size_t>(call.len));
    if (bytes == 0) {
        return -EINVAL;
    }
    if (bytes > free_bytes) {
        if (!contiguous) {
            // This heap refuses nothing, but takes page after page.
            in.crashes.emplace_back("out of memory: processes are killed");
        }
        return -ENOMEM;
    }
    auto made = make_dma_buf(in, exporter, bytes);
    made->contiguous = contiguous;
    if (const int failed = give(in, made, call.fd); failed != 0) {
        return failed;
    }
    blocks.made.push_back(made);
    std::memcpy(argument, &call, sizeof call);
    return 0;
}

// udmabuf

udmabuf_driver::udmabuf_driver(kernel& kernel_of) : in{kernel_of} {
    add_driver(in, "/dev/udmabuf", *this);
}

int udmabuf_driver::ioctl(unsigned long number, void* argument) {
    if (number != real::udmabuf::create) {
        return -ENOTTY;
    }
    udmabuf_create call{};
    std::memcpy(&call, argument, sizeof call);
    if ((call.flags & ~static_cast<unsigned>(UDMABUF_FLAGS_CLOEXEC)) != 0 || call.offset % whole_pages(1) != 0 ||
        call.size % whole_pages(1) != 0 || call.size > largest || call.size == 0) {
        return -EINVAL;
    }
    const auto pages = in.at(static_cast<int>(call.memfd));
    if (!pages || pages->kind != "memfd") {
        return -EBADFD;
    }
    const int seals = ::fcntl(pages->backing, F_GET_SEALS);
    if ((seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_WRITE) != 0) {
        return -EINVAL;
    }
    if (call.flags != UDMABUF_FLAGS_CLOEXEC) {
        in.crashes.push_back("a descriptor that children inherit");
    }
    auto made = make_dma_buf(in, "udmabuf", static_cast<std::size_t>(call.size));
    const int installed = in.install(made);
    if (installed >= 0) {
        blocks.made.push_back(made);
    }
    return installed;
}

// The legacy driver

namespace {

struct legacy_node final : object {
    legacy_driver& driver;
    explicit legacy_node(legacy_driver& of) : driver{of} {
        kind = "/dev/vcsm";
        backing = make_memfd(0);
    }
    int ioctl(unsigned long number, void* argument) override { return driver.ioctl(number, argument); }
    place map(std::size_t wanted, off_t offset) override {
        const auto found = driver.blocks.find(static_cast<std::uint32_t>(offset));
        if (found == driver.blocks.end()) {
            return {-ENOMEM, 0};
        }
        found->second.mapped_at = 1;
        return wanted == found->second.size ? place{found->second.backing, 0} : place{-EINVAL, 0};
    }
    void unmapped(void*, std::size_t) override {
        for (auto& [handle, each] : driver.blocks) {
            each.mapped_at = 0; // tests hold one block at a time where this matters
        }
    }
};

} // namespace

legacy_driver::legacy_driver(kernel& kernel_of) : in{kernel_of} {
    in.add_node("/dev/vcsm", [this] { return std::make_shared<legacy_node>(*this); });
}

int legacy_driver::ioctl(unsigned long number, void* argument) {
    namespace legacy = real::vcsm_legacy;
    if (number == legacy::mem_alloc) {
        legacy::alloc call{};
        std::memcpy(&call, argument, sizeof call);
        if (call.size > free_bytes) {
            return -ENOMEM;
        }
        block made;
        made.size = static_cast<std::uint32_t>(whole_pages(call.size));
        made.cached = call.cached;
        made.name.assign(call.name, ::strnlen(call.name, sizeof call.name));
        made.backing = make_memfd(std::string(made.size, '\xa5')); // as others left it
        call.handle = next_handle;
        next_handle += static_cast<std::uint32_t>(whole_pages(1));
        blocks[call.handle] = made;
        std::memcpy(argument, &call, sizeof call);
        return 0;
    }
    if (number == legacy::mem_clean_invalid) {
        legacy::clean_invalid call{};
        std::memcpy(&call, argument, sizeof call);
        auto& seen = maintained.emplace_back();
        for (const auto& each : call.s) {
            if (each.cmd == 0) {
                break;
            }
            if (blocks.count(each.handle) == 0) {
                return -EINVAL;
            }
            seen.push_back({each.cmd, each.handle, each.addr, each.size});
        }
        return 0;
    }
    std::uint32_t handle = 0;
    const bool maps = number >= legacy::map_usr_hdl && number <= legacy::map_vc_addr_fr_hdl;
    std::memcpy(&handle, static_cast<char*>(argument) + (maps ? 4 : 0), sizeof handle);
    const auto found = blocks.find(handle);
    if (maps || number == legacy::size_usr_hdl) { // success for what is unknown too, and 0
        if (number == legacy::map_vc_hdl_fr_hdl || number == legacy::map_vc_addr_fr_hdl) {
            legacy::map call{};
            std::memcpy(&call, argument, sizeof call);
            call.handle = found == blocks.end() ? 0 : handle >> 12U;
            call.addr = found == blocks.end() || found->second.locks == 0 ? 0 : 0xfd000000 + handle;
            std::memcpy(argument, &call, sizeof call);
        }
        return 0;
    }
    if (found == blocks.end()) {
        return -EINVAL;
    }
    block& known = found->second;
    switch (number) {
    case legacy::mem_lock:
        ++known.locks;
        return 0;
    case legacy::mem_unlock:
        known.locks = known.locks == 0 ? 0 : known.locks - 1;
        return 0;
    case legacy::mem_flush:
        ++known.flushes;
        return 0;
    case legacy::mem_invalid:
        ++known.invalidations;
        return 0;
    case legacy::mem_free:
        if (known.mapped_at != 0) {
            in.crashes.push_back("FREE took addresses away that are still in use");
        }
        ::close(known.backing);
        blocks.erase(found);
        return 0;
    default:
        return -EINVAL;
    }
}

// The mailbox

namespace {

struct physical_memory final : object {
    int descriptor;
    explicit physical_memory(int of) : descriptor{of} {
        kind = "/dev/mem";
        backing = make_memfd(0);
    }
    place map(std::size_t, off_t offset) override { return {descriptor, offset}; }
};

} // namespace

mailbox_driver::mailbox_driver(kernel& kernel_of) : in{kernel_of}, physical{make_memfd(std::size_t{1} << 30)} {
    add_driver(in, "/dev/vcio", *this);
    in.add_node("/dev/mem", [this] { return std::make_shared<physical_memory>(physical); });
}

mailbox_driver::~mailbox_driver() {
    ::close(physical);
}

int mailbox_driver::ioctl(unsigned long number, void* argument) {
    if (number != real::mailbox::property) {
        return -ENOTTY;
    }
    auto* const words = static_cast<std::uint32_t*>(argument);
    std::uint32_t* const values = words + 5;
    std::uint32_t answer = 0;
    const auto known = blocks.find(values[0]);
    switch (words[2]) {
    case 0x10002: // the board's revision
        answer = 0xa02082;
        break;
    case 0x3000c:
        if (values[0] != 0 && values[0] <= free_bytes) {
            next_bus_address = (next_bus_address + values[1] - 1) / values[1] * values[1];
            answer = next_handle++;
            blocks[answer] = {values[0], values[2], next_bus_address, 0};
            const std::string left(values[0], '\xa5');
            if (::pwrite(physical, left.data(), left.size(), next_bus_address & 0x3fffffff) !=
                static_cast<ssize_t>(left.size())) {
                throw std::runtime_error{"fake_drivers: the file that stands for physical memory is full"};
            }
            next_bus_address += values[0];
        }
        break;
    case 0x3000d:
        if (known != blocks.end()) {
            ++known->second.locks;
            answer = known->second.bus_address;
        }
        break;
    case 0x3000e:
        answer = known == blocks.end() || known->second.locks == 0 ? 1 : 0;
        if (answer == 0) {
            --known->second.locks;
        }
        break;
    case 0x3000f:
        answer = known == blocks.end() ? 1 : 0;
        if (answer == 0) {
            if (in.mapped_bytes() != 0 && known->second.locks != 0) {
                in.crashes.push_back("release of memory that is locked");
            }
            blocks.erase(known);
        }
        break;
    default:
        words[1] = 0x80000001;
        return 0;
    }
    values[0] = answer;
    words[1] = answer_code;
    words[4] = 0x80000000 | (answers_short ? 0 : 4);
    return 0;
}

// DRM

namespace {

struct render_node final : object {
    drm_driver& driver;
    render_node(drm_driver& of, const std::string& path) : driver{of} {
        kind = path;
        backing = make_memfd(0);
    }
    int ioctl(unsigned long number, void* argument) override { return driver.ioctl(number, argument); }
    place map(std::size_t wanted, off_t offset) override { return driver.map(wanted, offset); }
};

} // namespace

drm_driver::drm_driver(kernel& kernel_of, std::string driver_name, const std::string& path)
    : in{kernel_of}, name{std::move(driver_name)} {
    in.add_node(path, [this, path] { return std::make_shared<render_node>(*this, path); });
}

object::place drm_driver::map(std::size_t wanted, off_t offset) {
    const auto found = buffers.find(static_cast<std::uint32_t>(offset >> 28));
    if (found == buffers.end() || found->second.memory->bytes != wanted) {
        return {-EINVAL, 0};
    }
    return {found->second.memory->backing, 0};
}

int drm_driver::ioctl(unsigned long number, void* argument) {
    const auto create = [this](std::uint32_t bytes, std::uint32_t& handle) {
        if (bytes == 0) {
            return -EINVAL;
        }
        if (bytes > free_bytes) {
            return -ENOMEM;
        }
        handle = next_handle++;
        buffers[handle] = {make_dma_buf(in, "drm", bytes), next_offset};
        next_offset += static_cast<std::uint32_t>(whole_pages(bytes));
        return 0;
    };
    if (number == real::drm::version) {
        drm_version call{};
        std::memcpy(&call, argument, sizeof call);
        std::memcpy(call.name, name.data(), std::min<std::size_t>(call.name_len, name.size()));
        call.name_len = name.size();
        std::memcpy(argument, &call, sizeof call);
        return 0;
    }
    if (number == real::drm::gem_close) {
        drm_gem_close call{};
        std::memcpy(&call, argument, sizeof call);
        return buffers.erase(call.handle) == 1 ? 0 : -EINVAL;
    }
    if (number == real::drm::prime_handle_to_fd) {
        drm_prime_handle call{};
        std::memcpy(&call, argument, sizeof call);
        const auto found = buffers.find(call.handle);
        if (found == buffers.end()) {
            return -ENOENT;
        }
        if (call.flags != (DRM_CLOEXEC | DRM_RDWR)) {
            in.crashes.push_back("an export that children inherit, or that cannot be written");
        }
        if (const int failed = give(in, found->second.memory, call.fd); failed != 0) {
            return failed;
        }
        std::memcpy(argument, &call, sizeof call);
        return 0;
    }
    if (number == real::drm::prime_fd_to_handle) {
        drm_prime_handle call{};
        std::memcpy(&call, argument, sizeof call);
        const auto given = std::dynamic_pointer_cast<dma_buf>(in.at(call.fd));
        if (!given) {
            return -EINVAL;
        }
        const auto found =
            std::find_if(buffers.begin(), buffers.end(), [&](const auto& each) { return each.second.memory == given; });
        if (found != buffers.end()) {
            call.handle = found->first; // the handle that it has already, not counted
        } else {
            call.handle = next_handle++;
            buffers[call.handle] = {given, next_offset};
            next_offset += static_cast<std::uint32_t>(given->bytes);
        }
        std::memcpy(argument, &call, sizeof call);
        return 0;
    }
    const bool v3d = name == "v3d";
    if (v3d && number == real::v3d::create_bo_request) {
        real::v3d::create_bo call{};
        std::memcpy(&call, argument, sizeof call);
        const int failed = call.flags != 0 ? -EINVAL : create(call.size, call.handle);
        if (failed == 0) {
            call.offset = buffers[call.handle].offset;
            std::memcpy(argument, &call, sizeof call);
        }
        return failed;
    }
    if (v3d && number == real::v3d::get_bo_offset_request) {
        real::v3d::get_bo_offset call{};
        std::memcpy(&call, argument, sizeof call);
        const auto found = buffers.find(call.handle);
        call.offset = found == buffers.end() ? 0 : found->second.offset;
        std::memcpy(argument, &call, sizeof call);
        return found == buffers.end() ? -ENOENT : 0;
    }
    if (!v3d && number == real::vc4::create_bo_request) {
        drm_vc4_create_bo call{};
        std::memcpy(&call, argument, sizeof call);
        const int failed = call.flags != 0 || call.pad != 0 ? -EINVAL : create(call.size, call.handle);
        std::memcpy(argument, &call, sizeof call);
        return failed;
    }
    if (number == (v3d ? real::v3d::mmap_bo_request : real::vc4::mmap_bo_request)) {
        real::v3d::mmap_bo call{}; // VC4's has the same fields
        std::memcpy(&call, argument, sizeof call);
        if (call.flags != 0 || buffers.count(call.handle) == 0) {
            return call.flags != 0 ? -EINVAL : -ENOENT;
        }
        call.offset = std::uint64_t{call.handle} << 28U;
        std::memcpy(argument, &call, sizeof call);
        return 0;
    }
    return -EINVAL;
}

} // namespace fakes
