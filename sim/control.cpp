#include "control.hpp"

#include "simulation.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

constexpr std::size_t longest_line = std::size_t{64} << 20;
constexpr int answer_timeout_milliseconds = 5000;

std::uint64_t number_in(const std::string& text, const char* what) {
    std::uint64_t value = 0;
    const bool hexadecimal_text = text.compare(0, 2, "0x") == 0;
    const char* const start = text.data() + (hexadecimal_text ? 2 : 0);
    const auto [end, problem] = std::from_chars(start, text.data() + text.size(), value, hexadecimal_text ? 16 : 10);
    if (problem != std::errc{} || end != text.data() + text.size()) {
        throw std::invalid_argument{std::string{what} + " \"" + text + "\" is no number"};
    }
    return value;
}

std::string to_hex(const std::vector<std::byte>& bytes) {
    constexpr const char* digits = "0123456789abcdef";
    std::string text;
    text.reserve(2 * bytes.size());
    for (const std::byte each : bytes) {
        text += digits[std::to_integer<unsigned>(each) >> 4];
        text += digits[std::to_integer<unsigned>(each) & 15];
    }
    return text;
}

std::vector<std::byte> from_hex(const std::string& text) {
    std::vector<std::byte> bytes(text.size() / 2);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        unsigned value = 0;
        const char* const at = text.data() + 2 * i;
        if (std::from_chars(at, at + 2, value, 16).ptr != at + 2) {
            throw std::invalid_argument{"the data is no hexadecimal text"};
        }
        bytes[i] = static_cast<std::byte>(value);
    }
    if (text.size() % 2 != 0) {
        throw std::invalid_argument{"the data has an odd number of digits"};
    }
    return bytes;
}

using json = nlohmann::ordered_json;

json list_blocks(simulation& all) {
    json blocks = json::array();
    for (const videocore::block_state& each : all.memory->list()) {
        blocks.push_back({{"videocore_handle", each.videocore_handle},
                          {"name", each.name},
                          {"bytes", each.bytes},
                          {"capacity", each.capacity},
                          {"bus_address", each.bus_address},
                          {"cache", std::string{is_host_cached(each.cache) ? "host" : "none"}},
                          {"locks", each.locks},
                          {"held", each.held},
                          {"allocated", each.allocated}});
    }
    return {{"ok", true}, {"blocks", std::move(blocks)}};
}

json carry_out(simulation& all, const std::string& line) {
    std::istringstream words{line};
    std::vector<std::string> parts;
    for (std::string word; words >> word;) {
        parts.push_back(std::move(word));
    }
    const auto expect = [&](std::size_t count, const char* form) {
        if (parts.size() != count) {
            throw std::invalid_argument{std::string{"write: "} + form};
        }
    };
    const std::string verb = parts.empty() ? "" : parts[0];
    all.notice_what_is_gone();
    if (verb == "list") {
        expect(1, "list");
        return list_blocks(all);
    }
    if (verb != "read" && verb != "write" && verb != "hold" && verb != "release") {
        throw std::invalid_argument{"there is no command \"" + verb +
                                    "\"; it is one of read, write, hold, release, list"};
    }
    if (parts.size() < 2) {
        throw std::invalid_argument{verb + " needs a VideoCore handle"};
    }
    const std::uint64_t number = number_in(parts[1], "the VideoCore handle");
    if (number > UINT32_MAX) {
        throw std::invalid_argument{"the VideoCore handle has more than 32 bits"};
    }
    const auto handle = static_cast<std::uint32_t>(number);
    if (verb == "read") {
        expect(4, "read HANDLE OFFSET LENGTH");
        const std::uint64_t length = number_in(parts[3], "the length");
        const auto block = all.memory->find(handle);
        if (block && length > block->capacity()) {
            throw std::system_error{EINVAL, std::generic_category(), "read"};
        }
        std::vector<std::byte> bytes(block ? static_cast<std::size_t>(length) : 0);
        all.memory->read(handle, static_cast<std::size_t>(number_in(parts[2], "the offset")), bytes);
        return {{"ok", true}, {"data", to_hex(bytes)}};
    }
    if (verb == "write") {
        expect(4, "write HANDLE OFFSET HEX");
        all.memory->write(handle, static_cast<std::size_t>(number_in(parts[2], "the offset")), from_hex(parts[3]));
    } else if (verb == "hold") {
        expect(2, "hold HANDLE");
        all.memory->hold(handle);
    } else {
        expect(2, "release HANDLE");
        all.memory->release(handle);
    }
    return {{"ok", true}};
}

} // namespace

std::string answer_command(simulation& all, const std::string& line) {
    json made;
    try {
        made = carry_out(all, line);
    } catch (const std::system_error& problem) {
        made = {{"ok", false}, {"errno", problem.code().value()}, {"error", problem.what()}};
    } catch (const std::exception& problem) {
        made = {{"ok", false}, {"errno", EINVAL}, {"error", problem.what()}};
    }
    return made.dump(-1, ' ', false, json::error_handler_t::replace);
}

control::control(const std::string& path) : path_{path} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw std::runtime_error{"the control socket's path \"" + path + "\" is longer than " +
                                 std::to_string(sizeof address.sun_path - 1) + " bytes"};
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_ || ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket_.get(), 16) != 0) {
        const int error = errno;
        path_.clear();
        throw std::runtime_error{"cannot make the control socket \"" + path + "\": " + std::strerror(error) +
                                 (error == EADDRINUSE ? "; remove it, or name another with --control" : "")};
    }
}

control::~control() {
    if (!path_.empty()) {
        ::unlink(path_.c_str());
    }
}

int control::accept() {
    kernel::unique_fd socket{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    const int descriptor = socket.get();
    if (socket) {
        connections_[descriptor].socket = std::move(socket);
    }
    return descriptor;
}

bool control::serve(simulation& all, int descriptor) {
    const auto found = connections_.find(descriptor);
    if (found == connections_.end()) {
        return false;
    }
    std::array<char, 16384> piece;
    const ssize_t got = ::recv(descriptor, piece.data(), piece.size(), 0);
    if (got <= 0) {
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    std::string& unread = found->second.unread;
    unread.append(piece.data(), static_cast<std::size_t>(got));
    if (unread.size() > longest_line) {
        return false;
    }
    for (std::size_t end = unread.find('\n'); end != std::string::npos; end = unread.find('\n')) {
        std::string reply = answer_command(all, unread.substr(0, end)) + '\n';
        unread.erase(0, end + 1);
        for (std::size_t sent = 0; sent < reply.size();) {
            const ssize_t now = ::send(descriptor, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
            if (now >= 0) {
                sent += static_cast<std::size_t>(now);
                continue;
            }
            pollfd room{descriptor, POLLOUT, 0};
            if (errno != EAGAIN || ::poll(&room, 1, answer_timeout_milliseconds) != 1) {
                return false; // it does not read its answer: the programs cannot wait for that
            }
        }
    }
    return true;
}

} // namespace vcsm::sim
