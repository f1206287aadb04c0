// Runs vcsm-sim as a user would, and keeps what came of it.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/types.h>

namespace vcsm::test {

struct outcome {
    int status = -1; ///< the exit code, or 1000 + the signal that ended vcsm-sim itself
    std::string out;
    std::string err;
    nlohmann::json report; ///< of --report, where it was written
    bool timed_out = false;
};

struct how {
    std::vector<std::string> options;
    std::map<std::string, std::string> environment;
    /// Called in the test's process when vcsm-sim runs.
    std::function<void(pid_t)> meanwhile;
    std::chrono::seconds patience{30};
};

/// `vcsm-sim OPTIONS --report FILE -- COMMAND...`; what takes longer than the patience is ended, with all its
/// processes.
[[nodiscard]] outcome simulate(const std::vector<std::string>& command, const how& manner = {});
/// A program of tests/sim/programs.
[[nodiscard]] std::string program(const std::string& name);
/// A file that does not exist, in a directory that does.
[[nodiscard]] std::string fresh_path(const std::string& name);

} // namespace vcsm::test
