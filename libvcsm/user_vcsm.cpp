// The functions of user-vcsm.h, over the core that C++ and Python use too.
#include "failure.hpp"
#include "status.hpp"

#include "c_string.hpp"
#include "log.hpp"
#include "service.hpp"

#include <interface/vcsm/user-vcsm.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using vcsm::cache_mode;
using vcsm::c::or_else;
using vcsm::c::or_errno;
using vcsm::c::tell_failure;
using vcsm::detail::freeing;
using vcsm::detail::service;
using vcsm::detail::starting;

constexpr std::size_t name_limit = 4096;
constexpr unsigned pinned = 0x80;

service& core() {
    return service::instance();
}

cache_mode checked_mode(VCSM_CACHE_TYPE_T asked) {
    const auto number = static_cast<unsigned>(asked) & ~pinned;
    if (number > static_cast<unsigned>(cache_mode::both)) {
        throw std::invalid_argument{std::to_string(static_cast<unsigned>(asked)) +
                                    " is no cache mode: those are 0 to 3, and 0x80 added"};
    }
    return static_cast<cache_mode>(number);
}

/// Whether freed blocks are kept for the next ones: where the environment asks for it, for VideoCore may still read
/// them.
freeing freed_blocks_go() noexcept {
    static const bool to_next = [] {
        const char* const word = ::secure_getenv("VCSM_POOL");
        return word != nullptr && std::string_view{word} == "1";
    }();
    return to_next ? freeing::to_next : freeing::to_driver;
}

unsigned allocate(const char* function, unsigned size, VCSM_CACHE_TYPE_T cache, const char* name) noexcept {
    return or_else(function, 0U, [&] {
        const cache_mode mode = checked_mode(cache);
        const auto made = core().allocate(size, vcsm::detail::bounded_string(name, name_limit), {mode, 1},
                                          starting::never, freed_blocks_go());
        const std::uint32_t handle = made->handle();
        if ((static_cast<unsigned>(cache) & pinned) != 0) {
            try {
                core().populate(handle);
            } catch (...) {
                core().free(handle);
                throw;
            }
        }
        return handle;
    });
}

constexpr const char* no_handle = "the handle is none: it was never given, was freed, or its service was stopped";
constexpr const char* no_address = "the address is in no block";

std::uint32_t handle_at(const void* address) noexcept {
    service* const known = service::if_there();
    return known == nullptr ? 0 : known->handles().handle_at(address);
}

/// The cache mode that a block of mode `current` is to have after vcsm_lock_cache(…, wanted, …).
cache_mode after_lock_cache(cache_mode current, cache_mode wanted) {
    using enum cache_mode;
    static constexpr std::array<std::array<cache_mode, 4>, 4> table{{// wanted: none, host, videocore, both
                                                                     {none, host, none, host},      // current: none
                                                                     {none, host, host, host},      // host
                                                                     {none, both, videocore, both}, // videocore
                                                                     {videocore, both, videocore, both}}}; // both
    return table[static_cast<unsigned>(current)][static_cast<unsigned>(wanted)];
}

} // namespace

extern "C" {

int vcsm_init(void) {
    return vcsm_init_ex(0, -1);
}

int vcsm_init_ex(int want_export, int fd) {
    return or_else(__func__, -1, [&] {
        core().hold_bare(want_export != 0, fd);
        return 0;
    });
}

void vcsm_exit(void) {
    service* const known = service::if_there();
    if (known == nullptr || !known->let_go_bare()) {
        tell_failure(__func__, ENODEV, "vcsm_init() was not called as often");
    }
}

void vcsm_status(VCSM_STATUS_T status, int pid) {
    or_errno(__func__, [&] { vcsm::c::print_status(status, pid); });
}

unsigned int vcsm_malloc(unsigned int size, const char* name) {
    return allocate(__func__, size, VCSM_CACHE_TYPE_NONE, name);
}

unsigned int vcsm_malloc_cache(unsigned int size, VCSM_CACHE_TYPE_T cache, const char* name) {
    return allocate(__func__, size, cache, name);
}

unsigned int vcsm_malloc_share(unsigned int handle) {
    return or_else(__func__, 0U, [&] {
        const auto shared = core().handles().find(handle);
        if (!shared) {
            service::throw_no_handle(handle);
        }
        return core().share(*shared)->handle();
    });
}

void vcsm_free(unsigned int handle) {
    service* const known = service::if_there();
    if (known == nullptr || !known->free(handle)) {
        tell_failure(__func__, EINVAL, no_handle);
    }
}

int vcsm_resize(unsigned int handle, unsigned int new_size) {
    return or_errno(__func__, [&] {
        const auto resized = core().handles().find(handle);
        if (!resized) {
            service::throw_no_handle(handle);
        }
        core().resize(*resized, new_size);
    });
}

unsigned int vcsm_vc_hdl_from_ptr(void* usr_ptr) {
    const std::uint32_t handle = handle_at(usr_ptr);
    if (handle == 0) {
        tell_failure(__func__, EINVAL, no_address);
        return 0;
    }
    return vcsm_vc_hdl_from_hdl(handle);
}

unsigned int vcsm_vc_hdl_from_hdl(unsigned int handle) {
    if (service* const there = service::if_there()) {
        if (const std::uint32_t known = there->handles().known_videocore_handle(handle); known != 0) {
            return known;
        }
    }
    return or_else(__func__, 0U, [&] { return core().videocore_handle(handle); });
}

unsigned int vcsm_vc_addr_from_hdl(unsigned int handle) {
    return or_else(__func__, 0U, [&]() -> unsigned {
        const std::uint64_t address = core().bus_address(handle);
        if (address > std::numeric_limits<std::uint32_t>::max()) {
            throw std::system_error{EOVERFLOW, std::generic_category(),
                                    "bus address " + std::to_string(address) + " has more than 32 bits"};
        }
        return static_cast<std::uint32_t>(address);
    });
}

unsigned int vcsm_usr_handle(void* usr_ptr) {
    const std::uint32_t handle = handle_at(usr_ptr);
    if (handle == 0) {
        tell_failure(__func__, EINVAL, no_address);
    }
    return handle;
}

void* vcsm_usr_address(unsigned int handle) {
    service* const known = service::if_there();
    void* address = nullptr;
    try {
        address = known == nullptr ? nullptr : known->address(handle);
    } catch (...) {
        tell_failure(__func__);
        return nullptr;
    }
    if (address == nullptr) {
        tell_failure(__func__, EINVAL, no_handle);
    }
    return address;
}

void* vcsm_lock(unsigned int handle) {
    return or_else(__func__, static_cast<void*>(nullptr), [&]() -> void* { return core().lock(handle); });
}

void* vcsm_lock_cache(unsigned int handle, VCSM_CACHE_TYPE_T cache_update, VCSM_CACHE_TYPE_T* cache_result) {
    return or_else(__func__, static_cast<void*>(nullptr), [&]() -> void* {
        const cache_mode wanted = checked_mode(cache_update);
        (void)core().change_cache(handle, after_lock_cache(core().granted_cache(handle), wanted));
        void* const address = core().lock(handle);
        if (cache_result != nullptr) {
            *cache_result = static_cast<VCSM_CACHE_TYPE_T>(core().granted_cache(handle));
        }
        return address;
    });
}

int vcsm_unlock_ptr(void* usr_ptr) {
    return or_errno(__func__, [&] { core().unlock_at(usr_ptr); });
}

int vcsm_unlock_ptr_sp(void* usr_ptr, int cache_no_flush) {
    return or_errno(__func__, [&] { core().unlock_at(usr_ptr, cache_no_flush == 0); });
}

int vcsm_unlock_hdl(unsigned int handle) {
    return or_errno(__func__, [&] { core().unlock(handle); });
}

int vcsm_unlock_hdl_sp(unsigned int handle, int cache_no_flush) {
    return or_errno(__func__, [&] { core().unlock(handle, cache_no_flush == 0); });
}

unsigned int vcsm_import_dmabuf(int dmabuf, const char* name) {
    if (dmabuf < 0) {
        tell_failure(__func__, EBADF, "a descriptor is 0 or above");
        return 0;
    }
    return or_else(__func__, 0U, [&] {
        return core()
            .import_dmabuf(dmabuf, vcsm::detail::bounded_string(name, name_limit), 0, starting::never)
            ->handle();
    });
}

int vcsm_export_dmabuf(unsigned int vcsm_handle) {
    return or_errno(__func__, [&] { return core().export_dmabuf(vcsm_handle); });
}

} // extern "C"
