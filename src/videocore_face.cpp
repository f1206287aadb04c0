// VideoCore's side of the simulated device, as users see it.
#include <vcsm/videocore.hpp>

#include "device/simulated.hpp"
#include "service.hpp"
#include "videocore/remote.hpp"

#include <vcsm/error.hpp>

#include <cerrno>
#include <optional>

namespace vcsm::videocore {

namespace {

// Under vcsm-sim, whatever the program's kernel devices are, its VideoCore is vcsm-sim's; a real one cannot be asked.
std::optional<remote> chosen_remote(const char* operation) {
    const auto open = detail::service::instance().open_device();
    if (open && open->name() == device::simulated_name) {
        return std::nullopt;
    }
    std::optional<remote> outside = remote::from_environment();
    if (open && !outside) {
        failure about;
        about.operation = operation;
        about.device = open->name();
        about.remedy = "only a simulated VideoCore can be asked: use the device simulated, or vcsm-sim";
        throw not_supported{std::move(about)};
    }
    return outside;
}

template <class Ask>
auto asked(const char* operation, Ask&& ask) {
    const std::optional<remote> outside = chosen_remote(operation);
    try {
        return outside ? ask(*outside) : ask(*device::simulated_videocore());
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
    asked("read as VideoCore", [&](auto& own) { own.read(videocore_handle, offset, into); });
}

void write(std::uint32_t videocore_handle, std::size_t offset, std::span<const std::byte> from) {
    asked("write as VideoCore", [&](auto& own) { own.write(videocore_handle, offset, from); });
}

void hold(std::uint32_t videocore_handle) {
    asked("hold a block as VideoCore", [&](auto& own) { own.hold(videocore_handle); });
}

void release(std::uint32_t videocore_handle) {
    asked("release a block as VideoCore", [&](auto& own) { own.release(videocore_handle); });
}

std::vector<block_state> list() {
    return asked("list VideoCore's blocks", [](auto& own) { return own.list(); });
}

void reset() {
    detail::service::instance().stop();
    device::forget_simulated_videocore();
}

} // namespace vcsm::videocore
