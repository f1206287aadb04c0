// What a program of ours does first, for whoever started it without a standard stream.
#pragma once

#include <array>

#include <fcntl.h>
#include <unistd.h>

namespace vcsm::kernel {

/// Puts something under the numbers of standard streams that are closed, so that no file is opened under them and takes
/// what is printed. It can be neither read nor written as that stream, so that using the stream still fails, and a
/// program that is executed does not inherit it.
inline void fill_closed_standard_streams() noexcept {
    constexpr std::array modes{O_WRONLY, O_RDONLY, O_RDONLY};
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
        if (::fcntl(stream, F_GETFD) == -1) {
            // The lowest number that is free is this one: those below are open by now.
            (void)::open("/dev/null", modes[static_cast<unsigned>(stream)] | O_CLOEXEC);
        }
    }
}

} // namespace vcsm::kernel
