#include <vcsm/socket.hpp>

#include "kernel/syscalls.hpp"

#include <array>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace vcsm {

namespace {

/// What goes before the name; the descriptor comes with it. Both ends are on one machine, so numbers are its own.
struct announcement {
    std::array<char, 8> magic{'v', 'c', 's', 'm', 'b', 'l', 'k', '1'};
    std::uint64_t bytes = 0;
    std::uint32_t name_bytes = 0;
    std::uint32_t reserved = 0;
};
static_assert(sizeof(announcement) == 24);

constexpr std::uint32_t longest_name = 65536;
/// More than one descriptor is not ours to keep; there is room for the most that a message can carry, to close them.
constexpr std::size_t most_descriptors = 253;

[[noreturn]] void fail(int errno_value, const char* operation, std::string_view block, const char* remedy) {
    failure what;
    what.operation = operation;
    what.block = block;
    what.remedy = remedy;
    throw error{errno_value, std::move(what)};
}

void wait_for(int socket, short events) {
    pollfd one{socket, events, 0};
    (void)kernel::retried([&] { return kernel::system().poll(&one, 1, -1); });
}

/// One sendmsg or recvmsg that waits where a non-blocking socket would not, and comes back from signals.
template <class Call>
ssize_t waited(int socket, short events, Call&& call) {
    for (;;) {
        const ssize_t result = call();
        if (result >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            return result;
        }
        if (errno != EINTR) {
            wait_for(socket, events);
        }
    }
}

/// Sends all bytes; `control` goes with the first of them.
void send_all(int socket, const void* data, std::size_t bytes, msghdr control, std::string_view block) {
    iovec piece{const_cast<void*>(data), bytes}; // sendmsg only reads it
    control.msg_iov = &piece;
    control.msg_iovlen = 1;
    while (piece.iov_len != 0) {
        const ssize_t sent =
            waited(socket, POLLOUT, [&] { return kernel::system().sendmsg(socket, &control, MSG_NOSIGNAL); });
        if (sent < 0) {
            fail(errno, "send", block, "the socket does not take it");
        }
        piece.iov_base = static_cast<char*>(piece.iov_base) + sent;
        piece.iov_len -= static_cast<std::size_t>(sent);
        control.msg_control = nullptr;
        control.msg_controllen = 0;
    }
}

/// Descriptors that came along; those that nobody takes are closed.
using descriptors = std::vector<kernel::unique_fd>;

void take_descriptors(const msghdr& message, descriptors& into) {
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
         each = CMSG_NXTHDR(const_cast<msghdr*>(&message), each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i != count; ++i) {
            int descriptor = -1;
            std::memcpy(&descriptor, CMSG_DATA(each) + i * sizeof descriptor, sizeof descriptor);
            into.emplace_back(descriptor);
        }
    }
}

void receive_all(int socket, void* data, std::size_t bytes, descriptors& came) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(most_descriptors * sizeof(int))> control;
    auto* at = static_cast<char*>(data);
    while (bytes != 0) {
        iovec piece{at, bytes};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        came.reserve(came.size() + most_descriptors); // before they come: there must be no want of memory then
        const ssize_t got =
            waited(socket, POLLIN, [&] { return kernel::system().recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
        if (got < 0) {
            fail(errno, "receive a block", {}, "the socket gives nothing");
        }
        take_descriptors(message, came);
        if ((message.msg_flags & MSG_CTRUNC) != 0) {
            fail(EMFILE, "receive a block", {},
                 "its descriptor found no room: close files or blocks, or raise the limit (ulimit -n)");
        }
        if (got == 0) {
            fail(EPIPE, "receive a block", {}, "the other end has closed the socket");
        }
        at += got;
        bytes -= static_cast<std::size_t>(got);
        if ((message.msg_flags & MSG_TRUNC) != 0) {
            fail(EPROTO, "receive a block", {}, "what came was not sent by send_block()");
        }
    }
}

} // namespace

void send_block(int socket, const shared_memory& block) {
    const int descriptor = block.dmabuf();
    const std::string& name = block.name();
    if (name.size() > longest_name) {
        throw std::length_error{"cannot send a block: its name is longer than " + std::to_string(longest_name) +
                                " bytes"};
    }
    announcement head;
    head.bytes = block.size();
    head.name_bytes = static_cast<std::uint32_t>(name.size());
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr with_descriptor{};
    with_descriptor.msg_control = control.data();
    with_descriptor.msg_controllen = control.size();
    cmsghdr* const rights = CMSG_FIRSTHDR(&with_descriptor);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
    send_all(socket, &head, sizeof head, with_descriptor, name);
    send_all(socket, name.data(), name.size(), msghdr{}, name);
}

shared_memory receive_block(int socket) {
    descriptors came;
    announcement head;
    receive_all(socket, &head, sizeof head, came);
    if (head.magic != announcement{}.magic || head.name_bytes > longest_name || head.bytes == 0 ||
        head.bytes > SIZE_MAX || came.size() != 1) {
        fail(EPROTO, "receive a block", {}, "what came was not sent by send_block()");
    }
    std::string name(head.name_bytes, '\0');
    receive_all(socket, name.data(), name.size(), came);
    if (came.size() != 1) {
        fail(EPROTO, "receive", name, "more descriptors came than one");
    }
    try {
        return shared_memory::from_dmabuf(came.front().get(), name, static_cast<std::size_t>(head.bytes));
    } catch (const std::length_error&) {
        fail(EPROTO, "receive", name, "it is smaller than its sender said");
    }
}

} // namespace vcsm
