#include "log.hpp"

#include "kernel/syscalls.hpp"

#include <array>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

namespace vcsm::log {

level wanted() noexcept {
    static const level asked = [] {
        const char* const word = ::secure_getenv("VCSM_LOG");
        const std::string_view text = word != nullptr ? word : "";
        return text == "error"   ? level::error
               : text == "info"  ? level::info
               : text == "debug" ? level::debug
                                 : level::silent;
    }();
    return asked;
}

void write(level how, std::string_view sentence) noexcept {
    if (how > wanted()) {
        return;
    }
    // One write(), so that lines of several threads do not mix.
    std::array<char, 1024> line{};
    std::string_view prefix = "vcsm: ";
    std::memcpy(line.data(), prefix.data(), prefix.size());
    const std::size_t bytes = std::min(sentence.size(), line.size() - prefix.size() - 1);
    std::memcpy(line.data() + prefix.size(), sentence.data(), bytes);
    line[prefix.size() + bytes] = '\n';
    (void)kernel::retried(
        [&] { return kernel::system().write(STDERR_FILENO, line.data(), prefix.size() + bytes + 1); });
}

} // namespace vcsm::log
