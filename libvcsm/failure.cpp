#include "failure.hpp"

#include "log.hpp"

#include <vcsm/error.hpp>

#include <cerrno>
#include <new>
#include <stdexcept>
#include <string>

namespace vcsm::c {

int tell_failure(const char* function, int errno_value, const char* why) noexcept {
    if (log::wanted() >= log::level::error) {
        try {
            log::error(std::string{function} + ": " + why);
        } catch (const std::bad_alloc&) {
            log::error(why);
        }
    }
    errno = errno_value;
    return errno_value;
}

int tell_failure(const char* function) noexcept {
    try {
        throw;
    } catch (const std::system_error& failed) {
        return tell_failure(function, failed.code().value(), failed.what());
    } catch (const std::bad_alloc& failed) {
        return tell_failure(function, ENOMEM, failed.what());
    } catch (const std::length_error& failed) { // more than the device can express: it has no room for it either
        return tell_failure(function, ENOMEM, failed.what());
    } catch (const std::exception& failed) { // what could be judged without asking the device
        return tell_failure(function, EINVAL, failed.what());
    } catch (...) {
        return tell_failure(function, EIO, "an exception of no known kind");
    }
}

} // namespace vcsm::c
