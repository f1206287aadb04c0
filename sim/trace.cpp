#include "trace.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace vcsm::sim {

trace::trace(bool wanted, const std::string& path) : file_{nullptr, &std::fclose} {
    if (!wanted) {
        return;
    }
    const int descriptor = path.empty() ? ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
                                        : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0) {
        throw std::system_error{errno, std::generic_category(),
                                "cannot write the trace to " + (path.empty() ? "standard error" : path)};
    }
    file_.reset(::fdopen(descriptor, "w"));
    std::setvbuf(file_.get(), nullptr, _IOLBF, 0);
}

void trace::result(pid_t thread, std::int64_t value, int error) {
    if (!wanted() || call_.empty()) {
        forget();
        return;
    }
    if (error != 0) {
        std::fprintf(file_.get(), "[%d] %s = -1 %s (%s)\n", static_cast<int>(thread), call_.c_str(),
                     ::strerrorname_np(error), std::strerror(error));
    } else {
        std::fprintf(file_.get(), "[%d] %s = %lld%s%s\n", static_cast<int>(thread), call_.c_str(),
                     static_cast<long long>(value), also_.empty() ? "" : " ", also_.c_str());
    }
    forget();
}

std::string quoted(std::string_view text) {
    std::string made = "\"";
    for (const char each : text) {
        const auto byte = static_cast<unsigned char>(each);
        if (byte < ' ' || byte > '~' || each == '"' || each == '\\') {
            std::array<char, 5> escaped{};
            std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
            made += escaped.data();
        } else {
            made += each;
        }
    }
    return made + '"';
}

std::string hexadecimal(std::uint64_t number) {
    std::array<char, 20> text{};
    std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(number));
    return text.data();
}

} // namespace vcsm::sim
