#include <vcsm/socket.hpp>

#include "child.hpp"
#include "errno_of.hpp"
#include "fresh.hpp"
#include "kernel/syscalls.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace {

using vcsm_tests::errno_of;
using vcsm_tests::in_child;
using bytes = std::vector<unsigned char>;

struct socket_pair {
    std::array<int, 2> ends{-1, -1};
    explicit socket_pair(int type) {
        if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) {
            throw std::runtime_error{"socketpair"};
        }
    }
    socket_pair(const socket_pair&) = delete;
    socket_pair& operator=(const socket_pair&) = delete;
    ~socket_pair() {
        close_end(0);
        close_end(1);
    }
    void close_end(std::size_t which) {
        if (ends[which] >= 0) {
            ::close(ends[which]);
            ends[which] = -1;
        }
    }
};

std::ptrdiff_t open_descriptors() {
    const std::filesystem::directory_iterator each{"/proc/self/fd"};
    return std::distance(begin(each), end(each));
}

/// Sends raw bytes with any number of descriptors.
void send_raw(int socket, const std::string& text, const std::vector<int>& descriptors) {
    std::string data = text;
    iovec piece{data.data(), data.size()};
    std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* const rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
        std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size() * sizeof(int));
    }
    ASSERT_EQ(::sendmsg(socket, &message, 0), static_cast<ssize_t>(text.size()));
}

void sockets_are_empty(int socket) {
    char byte = 0;
    EXPECT_EQ(::recv(socket, &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, EAGAIN);
}

class socket_of_any_type : public testing::TestWithParam<int> {};

TEST_P(socket_of_any_type, a_block_arrives_in_another_process_with_its_name_its_size_and_its_memory) {
    const socket_pair sockets{GetParam()};
    const std::string long_name(1000, 'n');
    for (const std::string& name : {std::string{"frame"}, std::string{}, long_name}) {
        vcsm::shared_memory block{5000, name};
        block.copy_from(bytes(5000, 7));
        vcsm::send_block(sockets.ends[0], block);
        EXPECT_EQ(in_child([&] {
                      auto theirs = vcsm::receive_block(sockets.ends[1]);
                      if (theirs.name() != name || theirs.size() != 5000) {
                          return 1;
                      }
                      if (theirs.to_vector<unsigned char>() != bytes(5000, 7)) {
                          return 2;
                      }
                      theirs.copy_from(bytes(10, 9), 4990);
                      return 0;
                  }),
                  0);
        bytes end(10);
        block.copy_to(end, 4990);
        EXPECT_EQ(end, bytes(10, 9));
    }
}

INSTANTIATE_TEST_SUITE_P(types, socket_of_any_type, testing::Values(SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM));

TEST(socket, what_comes_back_to_its_own_process_is_a_second_reference) {
    const socket_pair sockets{SOCK_STREAM};
    vcsm::shared_memory block{5000, "own"};
    vcsm::send_block(sockets.ends[0], block);
    const vcsm::shared_memory again = vcsm::receive_block(sockets.ends[1]);
    EXPECT_EQ(again.size(), 5000U);
    EXPECT_NE(again.handle(), block.handle());
    EXPECT_EQ(again.videocore_handle(), block.videocore_handle());
}

TEST(socket, what_was_not_sent_as_a_block_is_refused_and_its_descriptors_are_closed) {
    { const vcsm::shared_memory first{1, "opens what is opened once"}; }
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    std::string head{"vcsmblk1", 8};
    const auto with_numbers = [&](std::uint64_t size, std::uint32_t name) {
        std::string text = head;
        text.append(reinterpret_cast<const char*>(&size), 8);
        text.append(reinterpret_cast<const char*>(&name), 4);
        return text.append(4, '\0');
    };
    const std::vector<std::pair<std::string, std::vector<int>>> wrong{
        {std::string(24, 'x'), {null}},          // other bytes
        {with_numbers(4096, 0), {}},             // no descriptor
        {with_numbers(4096, 0), {null, null}},   // two
        {with_numbers(0, 0), {null}},            // nothing of it
        {with_numbers(4096, 1U << 30U), {null}}, // a name of a gigabyte
        {with_numbers(UINT64_MAX, 0), {null}},   // more than there can be
        {with_numbers(4096, 0), {null}},         // no block
    };
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        for (const auto& [text, descriptors] : wrong) {
            const socket_pair sockets{type};
            const auto before = open_descriptors();
            send_raw(sockets.ends[0], text, descriptors);
            const int refused = errno_of([&] { (void)vcsm::receive_block(sockets.ends[1]); });
            EXPECT_TRUE(refused == EPROTO || refused == EINVAL || refused == ENOTSUP) << refused;
            EXPECT_EQ(open_descriptors(), before);
        }
    }
    // A second descriptor, which comes with the name.
    const socket_pair sockets{SOCK_STREAM};
    const auto before = open_descriptors();
    send_raw(sockets.ends[0], with_numbers(4096, 4), {null});
    send_raw(sockets.ends[0], "name", {null});
    EXPECT_EQ(errno_of([&] { (void)vcsm::receive_block(sockets.ends[1]); }), EPROTO);
    EXPECT_EQ(open_descriptors(), before);
    ::close(null);
}

TEST(socket, a_block_that_is_smaller_than_its_sender_says_is_refused) {
    const vcsm::shared_memory block{5000, "small"};
    const vcsm::kernel::unique_fd exported{block.export_dmabuf()};
    const std::uint64_t too_much = block.capacity() + 1;
    const std::uint32_t no_name = 0;
    std::string head{"vcsmblk1", 8};
    head.append(reinterpret_cast<const char*>(&too_much), 8);
    head.append(reinterpret_cast<const char*>(&no_name), 4);
    head.append(4, '\0');
    const socket_pair sockets{SOCK_STREAM};
    send_raw(sockets.ends[0], head, {exported.get()});
    EXPECT_EQ(errno_of([&] { (void)vcsm::receive_block(sockets.ends[1]); }), EPROTO);
}

TEST(socket, a_block_comes_through_a_socket_that_tells_who_sends) {
    const socket_pair sockets{SOCK_STREAM};
    const int yes = 1;
    ASSERT_EQ(::setsockopt(sockets.ends[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), 0);
    const vcsm::shared_memory block{5000, "with credentials"};
    vcsm::send_block(sockets.ends[0], block);
    EXPECT_EQ(vcsm::receive_block(sockets.ends[1]).name(), "with credentials");
}

TEST(socket, a_name_that_the_receiver_would_refuse_is_not_sent) {
    const socket_pair sockets{SOCK_STREAM};
    const vcsm::shared_memory block{5000, std::string(65537, 'n')};
    EXPECT_THROW(vcsm::send_block(sockets.ends[0], block), std::length_error);
    sockets_are_empty(sockets.ends[1]);
}

TEST(socket, a_sender_that_goes_away_in_the_middle_is_said) {
    for (const std::size_t sent : {std::size_t{0}, std::size_t{10}}) {
        socket_pair sockets{SOCK_STREAM};
        if (sent != 0) {
            send_raw(sockets.ends[0], std::string(sent, 'v'), {});
        }
        sockets.close_end(0);
        EXPECT_EQ(errno_of([&] { (void)vcsm::receive_block(sockets.ends[1]); }), EPIPE);
    }
}

TEST(socket, a_receiver_that_went_away_is_an_error_and_no_signal) {
    socket_pair sockets{SOCK_STREAM};
    sockets.close_end(1);
    const vcsm::shared_memory block{100, "x"};
    EXPECT_EQ(errno_of([&] { vcsm::send_block(sockets.ends[0], block); }), EPIPE);
    EXPECT_EQ(errno_of([&] { vcsm::send_block(-1, block); }), EBADF);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    EXPECT_EQ(errno_of([&] { vcsm::send_block(null, block); }), ENOTSOCK);
    EXPECT_EQ(errno_of([&] { (void)vcsm::receive_block(null); }), ENOTSOCK);
    ::close(null);
}

TEST(socket, a_non_blocking_socket_is_waited_for) {
    const socket_pair sockets{SOCK_STREAM | SOCK_NONBLOCK};
    vcsm::shared_memory block{100, "late"};
    std::thread sender{[&] {
        ::usleep(20000);
        vcsm::send_block(sockets.ends[0], block);
    }};
    EXPECT_EQ(vcsm::receive_block(sockets.ends[1]).name(), "late");
    sender.join();
}

TEST(socket, without_a_free_descriptor_the_receiver_says_so) {
    const socket_pair sockets{SOCK_STREAM};
    const vcsm::shared_memory block{100, "x"};
    vcsm::send_block(sockets.ends[0], block);
    EXPECT_EQ(in_child([&] {
                  // UndefinedBehaviorSanitizer wants a descriptor when it first sees an error made.
                  (void)errno_of([] { (void)vcsm::receive_block(-1); });
                  const rlimit none{3, 3};
                  if (::setrlimit(RLIMIT_NOFILE, &none) != 0) {
                      return 98;
                  }
                  return errno_of([&] { (void)vcsm::receive_block(sockets.ends[1]); });
              }),
              EMFILE);
}

} // namespace
