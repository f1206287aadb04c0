// The service, as users see it.
#include <vcsm/vcsm.hpp>

#include "device/choose.hpp"
#include "service.hpp"

#include <optional>
#include <utility>

namespace vcsm {

void use(std::string_view device) {
    detail::service::instance().use(device);
}

void start_service() {
    detail::service::instance().start();
}

void stop_service() noexcept {
    if (detail::service* const own = detail::service::if_there()) {
        own->stop();
    }
}

bool service_running() noexcept {
    const detail::service* const own = detail::service::if_there();
    return own != nullptr && own->running();
}

std::vector<device_info> devices() {
    const auto open = detail::service::instance().open_device();
    return device::survey(open ? std::string{open->name()} : std::string{});
}

std::vector<block_info> blocks() {
    std::vector<block_info> found;
    for (const auto& known : detail::service::instance().handles().all()) {
        const std::shared_ptr<detail::block>& which = known->shared();
        const std::shared_ptr<detail::allocation> memory = which->memory();
        block_info info{known->handle(),         which->name(),   {},           which->size(), which->capacity(),
                        memory->granted_cache(), memory->locks(), std::nullopt, std::nullopt};
        try {
            info.device = memory->from().name();
            const device::capabilities gives = memory->from().gives();
            memory->with_memory([&](device::memory& held) {
                if (gives.videocore_handle) {
                    info.videocore_handle = held.videocore_handle();
                }
                if (gives.bus_address) {
                    info.bus_address = held.bus_address() + which->offset();
                }
            });
        } catch (const not_supported&) { // this one block has none
        } catch (const no_block&) {
            continue; // freed since it was listed
        }
        found.push_back(std::move(info));
    }
    return found;
}

service_manager::service_manager() : held_{detail::service::instance().hold()} {}

service_manager::service_manager(service_manager&& other) noexcept : held_{std::exchange(other.held_, 0)} {}

service_manager& service_manager::operator=(service_manager&& other) noexcept {
    if (this != &other) {
        exit();
        held_ = std::exchange(other.held_, 0);
    }
    return *this;
}

service_manager::~service_manager() {
    exit();
}

void service_manager::exit() noexcept {
    if (held_ != 0) {
        detail::service::instance().let_go(std::exchange(held_, 0));
    }
}

std::string_view version() noexcept {
    return VCSM_VERSION;
}

} // namespace vcsm
