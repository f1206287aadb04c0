// --trace: each answered call on a line of its own, as strace would show it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include <sys/types.h>

namespace vcsm::sim {

class trace {
  public:
    /// To standard error, or to a file where `path` is not empty. Throws std::system_error.
    trace(bool wanted, const std::string& path);

    [[nodiscard]] bool wanted() const noexcept { return file_ != nullptr; }
    /// What the call is, with arguments: "ioctl(3, VC_SM_CMA_IOCTL_MEM_ALLOC, {size=4096, ...})". Kept until the end.
    void call(std::string decoded) {
        if (wanted()) {
            call_ = std::move(decoded);
        }
    }
    [[nodiscard]] const std::string& pending() const noexcept { return call_; }
    /// What came of it: "= 0 {handle=4}", "= -1 ENOMEM (Cannot allocate memory)".
    void result(pid_t thread, std::int64_t value, int error);
    /// More of the result, shown behind its value.
    void also(std::string decoded) {
        if (wanted()) {
            also_ = std::move(decoded);
        }
    }
    void forget() {
        call_.clear();
        also_.clear();
    }

  private:
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
    std::string call_;
    std::string also_;
};

/// A text in quotes; bytes that are no printable ASCII as \xNN.
[[nodiscard]] std::string quoted(std::string_view text);
[[nodiscard]] std::string hexadecimal(std::uint64_t number);

} // namespace vcsm::sim
