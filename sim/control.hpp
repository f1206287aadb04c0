// The GPU's side from outside: a socket that takes a command a line and answers each with a line of JSON.
#pragma once

#include "kernel/syscalls.hpp"

#include <map>
#include <string>

namespace vcsm::sim {

struct simulation;

class control {
  public:
    /// Listens at `path`, which must not exist yet. Throws std::system_error or std::runtime_error.
    explicit control(const std::string& path);
    control(const control&) = delete;
    control& operator=(const control&) = delete;
    ~control();

    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
    /// Takes a connection; its descriptor, to be polled, or -1.
    [[nodiscard]] int accept();
    /// Reads what came on a connection and answers it. False: it is closed.
    [[nodiscard]] bool serve(simulation& all, int descriptor);
    void close(int descriptor) { connections_.erase(descriptor); }

  private:
    struct connection {
        kernel::unique_fd socket;
        std::string unread;
    };
    std::string path_;
    kernel::unique_fd socket_;
    std::map<int, connection> connections_;
};

/// The answer to one command line, without a newline.
[[nodiscard]] std::string answer_command(simulation& all, const std::string& line);

} // namespace vcsm::sim
