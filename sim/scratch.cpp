#include "scratch.hpp"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <vector>

namespace vcsm::sim {

scratch_directory::scratch_directory() {
    std::vector<std::string> places;
    for (const char* const variable : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
        if (const char* const value = ::secure_getenv(variable); value != nullptr && value[0] == '/') {
            places.emplace_back(value);
        }
    }
    for (const char* const usual : {"/tmp", "/var/tmp"}) {
        places.emplace_back(usual);
    }
    for (const std::string& place : places) {
        std::string name = place + "/vcsm-sim.XXXXXX";
        if (::mkdtemp(name.data()) != nullptr) {
            path_ = std::filesystem::canonical(name).string(); // as /proc shows it
            return;
        }
    }
    throw std::runtime_error{"cannot make a directory for temporary files; set TMPDIR to one that can be written"};
}

void scratch_directory::remove() noexcept {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

} // namespace vcsm::sim
