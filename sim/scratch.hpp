// A directory of vcsm-sim's own for the time of one run.
#pragma once

#include <string>

namespace vcsm::sim {

class scratch_directory {
  public:
    /// In XDG_RUNTIME_DIR or the directory for temporary files. Throws std::runtime_error.
    scratch_directory();
    scratch_directory(const scratch_directory&) = delete;
    scratch_directory& operator=(const scratch_directory&) = delete;
    ~scratch_directory() { remove(); }

    /// With all that is in it; more than once does no harm.
    void remove() noexcept;

    [[nodiscard]] const std::string& path() const noexcept { return path_; }

  private:
    std::string path_;
};

} // namespace vcsm::sim
