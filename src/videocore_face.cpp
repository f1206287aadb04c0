// VideoCore's side of the simulated device, as users see it.
#include <vcsm/videocore.hpp>

#include "device/simulated.hpp"
#include "service.hpp"

#include <vcsm/error.hpp>

#include <cerrno>

namespace vcsm::videocore {

namespace {

// A real VideoCore cannot be asked.
void throw_unless_simulated(const char* operation) {
    const auto open = detail::service::instance().open_device();
    if (open && open->name() != device::simulated_name) {
        failure about;
        about.operation = operation;
        about.device = open->name();
        about.remedy = "only a simulated VideoCore can be asked: use the device simulated, or vcsm-sim";
        throw not_supported{std::move(about)};
    }
}

template <class Ask>
auto asked(const char* operation, Ask&& ask) {
    throw_unless_simulated(operation);
    try {
        return ask(*device::simulated_videocore());
    } catch (const error&) {
        throw;
    } catch (const std::system_error& refused) {
        failure about;
        about.operation = operation;
        about.device = device::simulated_name;
        if (refused.code().value() == ENOENT) {
            about.remedy = "VideoCore knows no block by that handle";
        }
        throw_error(refused.code().value(), std::move(about));
    }
}

} // namespace

void read(std::uint32_t videocore_handle, std::size_t offset, std::span<std::byte> into) {
    asked("read as VideoCore", [&](model& own) { own.read(videocore_handle, offset, into); });
}

void write(std::uint32_t videocore_handle, std::size_t offset, std::span<const std::byte> from) {
    asked("write as VideoCore", [&](model& own) { own.write(videocore_handle, offset, from); });
}

void hold(std::uint32_t videocore_handle) {
    asked("hold a block as VideoCore", [&](model& own) { own.hold(videocore_handle); });
}

void release(std::uint32_t videocore_handle) {
    asked("release a block as VideoCore", [&](model& own) { own.release(videocore_handle); });
}

std::vector<block_state> list() {
    return asked("list VideoCore's blocks", [](model& own) { return own.list(); });
}

void reset() {
    detail::service::instance().stop();
    device::forget_simulated_videocore();
}

} // namespace vcsm::videocore
