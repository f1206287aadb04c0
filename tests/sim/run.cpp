#include "sim/run.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vcsm::test {

std::string program(const std::string& name) {
    return std::string{VCSM_SIM_PROGRAMS} + "/" + name;
}

std::string fresh_path(const std::string& name) {
    static std::atomic<unsigned> number{0};
    return (std::filesystem::temp_directory_path() /
            ("vcsm-test-" + std::to_string(::getpid()) + "-" + std::to_string(++number) + "-" + name))
        .string();
}

outcome simulate(const std::vector<std::string>& command, const how& manner) {
    const std::string report = fresh_path("report.json");
    std::vector<std::string> words{VCSM_SIM_BINARY, "--report", report};
    words.insert(words.end(), manner.options.begin(), manner.options.end());
    words.emplace_back("--");
    words.insert(words.end(), command.begin(), command.end());
    std::vector<char*> arguments;
    for (std::string& word : words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);

    std::array<std::array<int, 2>, 2> pipes{};
    for (auto& each : pipes) {
        if (::pipe2(each.data(), O_CLOEXEC) != 0) {
            throw std::system_error{errno, std::generic_category(), "pipe2"};
        }
    }
    const pid_t process = ::fork();
    if (process == 0) {
        ::setpgid(0, 0);
        ::dup2(pipes[0][1], STDOUT_FILENO);
        ::dup2(pipes[1][1], STDERR_FILENO);
        for (const auto& [name, value] : manner.environment) {
            ::setenv(name.c_str(), value.c_str(), 1);
        }
        ::execv(arguments[0], arguments.data());
        ::_exit(99);
    }
    ::close(pipes[0][1]);
    ::close(pipes[1][1]);
    if (manner.meanwhile) {
        manner.meanwhile(process);
    }
    outcome made;
    const auto deadline = std::chrono::steady_clock::now() + manner.patience;
    std::array<pollfd, 2> open{pollfd{pipes[0][0], POLLIN, 0}, pollfd{pipes[1][0], POLLIN, 0}};
    while (open[0].fd >= 0 || open[1].fd >= 0) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) {
            made.timed_out = true;
            ::kill(-process, SIGKILL);
            break;
        }
        ::poll(open.data(), open.size(), static_cast<int>(left.count()));
        for (std::size_t i = 0; i < open.size(); ++i) {
            std::array<char, 65536> piece;
            if (open[i].fd < 0 || open[i].revents == 0) {
                continue;
            }
            const ssize_t got = ::read(open[i].fd, piece.data(), piece.size());
            if (got <= 0) {
                open[i].fd = -1;
            } else {
                (i == 0 ? made.out : made.err).append(piece.data(), static_cast<std::size_t>(got));
            }
        }
    }
    ::close(pipes[0][0]);
    ::close(pipes[1][0]);
    int status = 0;
    ::waitpid(process, &status, 0);
    made.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    if (std::ifstream file{report}) {
        made.report = nlohmann::json::parse(file, nullptr, false);
    }
    std::filesystem::remove(report);
    return made;
}

} // namespace vcsm::test
