// What vcsm-sim tells at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include <sys/types.h>

namespace vcsm::sim {

/// One thing found: who, what about, which call.
struct finding {
    std::string process;
    pid_t pid = 0;
    std::string name;
    std::size_t bytes = 0;
    std::uint32_t videocore_handle = 0;
    std::string call;
    std::string detail; ///< what happened, in a few words; for some lists empty
};

struct report {
    std::vector<finding> leaks;
    std::vector<finding> killed;
    std::vector<finding> closed_by_exec;
    std::vector<finding> kernel_crashes;
    std::vector<finding> unsynced;
    std::vector<finding> errors;
    std::map<std::string, std::uint64_t> calls;
    std::size_t peak_bytes = 0;
    double fragmentation = 0; ///< the worst seen: the part of the free memory that the largest block could not have had

    /// Nothing that a user would mend.
    [[nodiscard]] bool clean() const noexcept { return leaks.empty() && kernel_crashes.empty() && unsynced.empty(); }
};

/// As JSON, with a newline at the end.
void write_json(std::ostream& out, const report& what);
/// For people, a line each, every line beginning with "vcsm-sim: ". Nothing for a clean program.
void write_text(std::ostream& out, const report& what);

} // namespace vcsm::sim
