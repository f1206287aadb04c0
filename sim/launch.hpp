// Starting the program under the filter.
#pragma once

#include "filter.hpp"
#include "kernel/syscalls.hpp"

#include <string>
#include <vector>

#include <sys/types.h>

namespace vcsm::sim {

struct launched {
    pid_t process = 0;
    kernel::unique_fd listener;
};

/// Forks; the child installs the filter and becomes the program. `file_limit` is the soft limit of descriptors that it
/// is to have. Throws std::system_error or std::runtime_error with a sentence for the user.
[[nodiscard]] launched launch(const std::vector<std::string>& command, const std::vector<sock_filter>& program,
                              const std::string& control_path, unsigned long file_limit);

/// Sends a descriptor and a number over a socket; gets them.
void send_descriptor(int socket, int descriptor, int number);
struct received {
    kernel::unique_fd descriptor;
    int number = 0;
};
[[nodiscard]] received receive_descriptor(int socket);

/// Ends every process below `ancestor` that there is, again and again until none is left; gives how many were ended.
unsigned end_descendants(pid_t ancestor);

} // namespace vcsm::sim
