// Programs as their users run them: arguments, environment, standard input; exit status and what they printed.
#pragma once

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h> // NOLINT(modernize-deprecated-headers): kill() is POSIX's
#include <sys/wait.h>
#include <unistd.h>

namespace vcsm_tests {

/// A directory of one test, taken away with the object.
class temporary_directory {
  public:
    temporary_directory() {
        std::string name = (std::filesystem::temp_directory_path() / "vcsm-test-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;
    ~temporary_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] std::string operator/(const std::string& name) const { return (path_ / name).string(); }
    /// Writes a file there, and gives its path.
    std::string write(const std::string& name, const std::string& content) const {
        std::ofstream{path_ / name, std::ios::binary} << content;
        return *this / name;
    }

  private:
    std::filesystem::path path_;
};

inline std::string content_of(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

struct finished {
    int status = 0; ///< the exit status, or 128 and the signal
    std::string out;
    std::string err;
};

struct surroundings {
    std::map<std::string, std::string> environment; ///< added to this process's; an empty value takes it away
    std::string input;                              ///< standard input
    std::string output_to;                          ///< a file for standard output, such as /dev/full
};

/// A program that runs.
class running {
  public:
    explicit running(const std::vector<std::string>& command, const surroundings& around = {}) {
        const std::string input = directory_.write("in", around.input);
        process_ = ::fork();
        if (process_ == 0) {
            for (const auto& [name, value] : around.environment) {
                value.empty() ? ::unsetenv(name.c_str()) : ::setenv(name.c_str(), value.c_str(), 1);
            }
            redirect(STDIN_FILENO, input, O_RDONLY);
            redirect(STDOUT_FILENO, around.output_to.empty() ? directory_ / "out" : around.output_to,
                     O_WRONLY | O_CREAT | O_TRUNC);
            redirect(STDERR_FILENO, directory_ / "err", O_WRONLY | O_CREAT | O_TRUNC);
            std::vector<char*> arguments;
            for (const std::string& word : command) {
                arguments.push_back(const_cast<char*>(word.c_str()));
            }
            arguments.push_back(nullptr);
            ::execvp(arguments[0], arguments.data());
            ::_exit(127);
        }
    }
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    ~running() {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            ::waitpid(process_, nullptr, 0);
        }
    }

    void signal(int number) const { ::kill(process_, number); }
    [[nodiscard]] pid_t process() const { return process_; }
    [[nodiscard]] std::string out_so_far() const { return content_of(directory_ / "out"); }

    /// Waits until its standard output has `text` in it; false if that takes longer than `limit`.
    [[nodiscard]] bool prints(const std::string& text, std::chrono::seconds limit = std::chrono::seconds{60}) const {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (out_so_far().find(text) == std::string::npos) {
            if (std::chrono::steady_clock::now() > end) {
                return false;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
        }
        return true;
    }

    /// Waits for its end; kills it where that takes longer than `limit` (status 128 + 9).
    finished wait(std::chrono::seconds limit = std::chrono::seconds{120}) {
        const auto end = std::chrono::steady_clock::now() + limit;
        int status = 0;
        while (::waitpid(process_, &status, WNOHANG) == 0) {
            if (std::chrono::steady_clock::now() > end) {
                ::kill(process_, SIGKILL);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds{2});
        }
        process_ = -1;
        return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), content_of(directory_ / "out"),
                content_of(directory_ / "err")};
    }

  private:
    static void redirect(int descriptor, const std::string& path, int flags) {
        const int opened = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
        if (opened < 0 || ::dup2(opened, descriptor) < 0) {
            ::_exit(126);
        }
    }

    temporary_directory directory_;
    pid_t process_ = -1;
};

/// Runs a program to its end.
inline finished run(const std::vector<std::string>& command, const surroundings& around = {}) {
    return running{command, around}.wait();
}

} // namespace vcsm_tests
