#include "videocore/remote.hpp"

#include "kernel/syscalls.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include <sys/socket.h>
#include <sys/un.h>

namespace vcsm::videocore {

namespace {

[[noreturn]] void fail(int errno_value, const char* what) {
    throw std::system_error{errno_value, std::generic_category(), what};
}

[[noreturn]] void not_understood() {
    fail(EPROTO, "the answer of vcsm-sim");
}

/// Reads the answers' JSON, which is flat, from left to right: a key, then its value.
class answer_reader {
  public:
    explicit answer_reader(std::string_view text) : left_{text} {}

    /// Whether the key comes before the next `end`; then the value is next.
    [[nodiscard]] bool find(std::string_view key) {
        const std::string quoted = '"' + std::string{key} + "\":";
        const std::size_t at = left_.find(quoted);
        if (at == std::string_view::npos) {
            return false;
        }
        left_.remove_prefix(at + quoted.size());
        return true;
    }
    void expect(std::string_view key) {
        if (!find(key)) {
            not_understood();
        }
    }
    template <class Number>
    [[nodiscard]] Number number() {
        Number value{};
        const auto [end, problem] = std::from_chars(left_.data(), left_.data() + left_.size(), value);
        if (problem != std::errc{}) {
            not_understood();
        }
        left_.remove_prefix(static_cast<std::size_t>(end - left_.data()));
        return value;
    }
    [[nodiscard]] bool truth() { return left_.substr(0, 4) == "true"; }
    [[nodiscard]] std::string text() {
        if (left_.empty() || left_.front() != '"') {
            not_understood();
        }
        std::string value;
        std::size_t at = 1;
        while (at < left_.size() && left_[at] != '"') {
            if (left_[at] != '\\') {
                value += left_[at++];
                continue;
            }
            const char escaped = at + 1 < left_.size() ? left_[at + 1] : '\0';
            at += 2;
            const std::string_view from = "\"\\/bfnrt";
            const std::string_view to = "\"\\/\b\f\n\r\t";
            if (const std::size_t known = from.find(escaped); known != std::string_view::npos) {
                value += to[known];
            } else if (escaped == 'u' && at + 4 <= left_.size()) {
                unsigned code = 0; // control characters alone come so
                std::from_chars(left_.data() + at, left_.data() + at + 4, code, 16);
                value += static_cast<char>(code);
                at += 4;
            } else {
                not_understood();
            }
        }
        left_.remove_prefix(std::min(at + 1, left_.size()));
        return value;
    }

  private:
    std::string_view left_;
};

kernel::unique_fd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        fail(ENAMETOOLONG, "VCSM_SIM_CONTROL");
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    kernel::unique_fd socket{kernel::system().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!socket) {
        kernel::throw_errno("socket");
    }
    if (kernel::retried([&] {
            return kernel::system().connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
        }) != 0) {
        kernel::throw_errno("connect to vcsm-sim");
    }
    return socket;
}

constexpr std::string_view digits = "0123456789abcdef";

} // namespace

std::optional<remote> remote::from_environment() {
    const char* const path = ::secure_getenv("VCSM_SIM_CONTROL");
    if (path == nullptr || *path == '\0') {
        return std::nullopt;
    }
    return remote{path};
}

std::string remote::ask(const std::string& command) const {
    const kernel::unique_fd socket = connect_to(path_);
    const std::string line = command + '\n';
    for (std::size_t sent = 0; sent < line.size();) {
        iovec part{const_cast<char*>(line.data()) + sent, line.size() - sent};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const ssize_t now =
            kernel::retried([&] { return kernel::system().sendmsg(socket.get(), &message, MSG_NOSIGNAL); });
        if (now < 0) {
            kernel::throw_errno("send to vcsm-sim");
        }
        sent += static_cast<std::size_t>(now);
    }
    std::string answer;
    std::array<char, 65536> piece;
    while (answer.empty() || answer.back() != '\n') {
        const ssize_t got =
            kernel::retried([&] { return kernel::system().read(socket.get(), piece.data(), piece.size()); });
        if (got < 0) {
            kernel::throw_errno("read from vcsm-sim");
        }
        if (got == 0) {
            not_understood();
        }
        answer.append(piece.data(), static_cast<std::size_t>(got));
    }
    answer_reader reader{answer};
    reader.expect("ok");
    if (!reader.truth()) {
        const int error = reader.find("errno") ? reader.number<int>() : EPROTO;
        fail(error, "vcsm-sim");
    }
    return answer;
}

void remote::read(std::uint32_t handle, std::size_t offset, std::span<std::byte> into) const {
    const std::string answer =
        ask("read " + std::to_string(handle) + ' ' + std::to_string(offset) + ' ' + std::to_string(into.size()));
    answer_reader reader{answer};
    reader.expect("data");
    const std::string hex = reader.text();
    if (hex.size() != 2 * into.size()) {
        not_understood();
    }
    for (std::size_t i = 0; i < into.size(); ++i) {
        const std::size_t high = digits.find(hex[2 * i]);
        const std::size_t low = digits.find(hex[2 * i + 1]);
        if (high == std::string_view::npos || low == std::string_view::npos) {
            not_understood();
        }
        into[i] = static_cast<std::byte>(high * 16 + low);
    }
}

void remote::write(std::uint32_t handle, std::size_t offset, std::span<const std::byte> from) const {
    if (from.empty()) {
        return;
    }
    std::string command = "write " + std::to_string(handle) + ' ' + std::to_string(offset) + ' ';
    command.reserve(command.size() + 2 * from.size());
    for (const std::byte each : from) {
        command += digits[std::to_integer<unsigned>(each) >> 4];
        command += digits[std::to_integer<unsigned>(each) & 15];
    }
    (void)ask(command);
}

void remote::hold(std::uint32_t handle) const {
    (void)ask("hold " + std::to_string(handle));
}

void remote::release(std::uint32_t handle) const {
    (void)ask("release " + std::to_string(handle));
}

std::vector<block_state> remote::list() const {
    return parse_blocks(ask("list"));
}

std::vector<block_state> parse_blocks(std::string_view answer) {
    answer_reader reader{answer};
    reader.expect("blocks");
    std::vector<block_state> blocks;
    while (reader.find("videocore_handle")) {
        block_state each;
        each.videocore_handle = reader.number<std::uint32_t>();
        reader.expect("name");
        each.name = reader.text();
        reader.expect("bytes");
        each.bytes = reader.number<std::size_t>();
        reader.expect("capacity");
        each.capacity = reader.number<std::size_t>();
        reader.expect("bus_address");
        each.bus_address = reader.number<std::uint64_t>();
        reader.expect("cache");
        each.cache = parse_cache_mode(reader.text());
        reader.expect("locks");
        each.locks = reader.number<unsigned>();
        reader.expect("held");
        each.held = reader.number<unsigned>();
        reader.expect("allocated");
        each.allocated = reader.truth();
        blocks.push_back(std::move(each));
    }
    return blocks;
}

} // namespace vcsm::videocore
