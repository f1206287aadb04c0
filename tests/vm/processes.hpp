// Other processes for tests inside the virtual machine: children that do something and say how it went.
#pragma once

#include "dma_buf_kinds.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <thread>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vcsm_vm {

/// Tries again and again, for at most ten seconds: for what the kernel does soon after a process has gone.
template <class Condition>
bool soon(Condition&& condition) {
    for (int tries = 0; tries < 1000; ++tries) {
        if (condition()) {
            return true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    return condition();
}

/// Two ends of a socket.
struct channel {
    channel() {
        int ends[2] = {-1, -1};
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0) {
            here = descriptor{ends[0]};
            there = descriptor{ends[1]};
        }
    }
    descriptor here;
    descriptor there;
};

/// One byte, to say that something is done; and waiting for it. False when the other end has gone.
inline bool say(const descriptor& to) {
    const char byte = 1;
    return ::send(to.get(), &byte, 1, MSG_NOSIGNAL) == 1;
}
inline bool hear(const descriptor& from) {
    char byte = 0;
    return ::recv(from.get(), &byte, 1, 0) == 1;
}

/// Sends a descriptor to another process.
inline bool send_descriptor(const descriptor& to, int number) {
    char byte = 1;
    struct iovec data {
        &byte, 1
    };
    alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof number)] = {};
    struct msghdr message {};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    struct cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof number);
    std::memcpy(CMSG_DATA(head), &number, sizeof number);
    return ::sendmsg(to.get(), &message, MSG_NOSIGNAL) == 1;
}

inline descriptor receive_descriptor(const descriptor& from) {
    char byte = 0;
    struct iovec data {
        &byte, 1
    };
    alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
    struct msghdr message {};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    if (::recvmsg(from.get(), &message, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&message) == nullptr) {
        return descriptor{};
    }
    int number = -1;
    std::memcpy(&number, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof number);
    return descriptor{number};
}

/// A forked child that runs `what` and ends with status 0 if that gives true.
class child {
  public:
    explicit child(const std::function<bool()>& what) : process_{::fork()} {
        if (process_ == 0) {
            bool went_well = false;
            try {
                went_well = what();
            } catch (const std::exception& error) {
                std::fprintf(stderr, "in the child: %s\n", error.what());
            }
            std::fflush(nullptr);
            ::_exit(went_well ? 0 : 1);
        }
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    ~child() {
        if (process_ > 0) {
            kill();
        }
    }
    [[nodiscard]] pid_t process() const { return process_; }
    /// Waits for its end; whether that was status 0.
    bool went_well() {
        int status = -1;
        const bool waited = ::waitpid(process_, &status, 0) == process_;
        process_ = -1;
        return waited && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    void kill() {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        process_ = -1;
    }

  private:
    pid_t process_;
};

} // namespace vcsm_vm
