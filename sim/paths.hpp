// Where a path leads, as the kernel would walk it for the program: through its root, its working directory, open
// directories and symbolic links.
#pragma once

#include "target.hpp"
#include "tree.hpp"

#include <string>

namespace vcsm::sim {

/// What a path of the program means.
struct place {
    enum class kind : unsigned {
        elsewhere,    ///< this machine's affair
        answered,     ///< `found`
        not_there,    ///< below an answered directory or entry that hides it: ENOENT
        no_directory, ///< it goes on behind something that is no directory: ENOTDIR
        descriptor,   ///< /proc/PROCESS/fd/DESCRIPTOR
        information   ///< /proc/PROCESS/fdinfo/DESCRIPTOR
    };
    kind what = kind::elsewhere;
    const entry* found = nullptr;
    pid_t process = 0;
    int descriptor = -1;
};

class path_resolver {
  public:
    explicit path_resolver(const tree& of) : tree_{of} {}

    /// `directory` is a descriptor or AT_FDCWD; `follow` whether a symbolic link at the end is followed.
    [[nodiscard]] place resolve(const target& who, int directory, const std::string& path, bool follow) const;

    /// Whether some program may have changed its root or its mounts: then every path is walked from its own root, which
    /// takes longer.
    bool roots_may_differ = false;

  private:
    /// Cheap: a path in /proc that is the kernel's affair.
    [[nodiscard]] bool is_plain_proc(const std::string& path) const;
    /// Cheap and never wrong in saying no: a file that is there, and not in /dev, /proc or /sys.
    [[nodiscard]] bool may_be_ours(std::string path, bool follow) const;
    [[nodiscard]] place walk(const target& who, int directory, const std::string& path, bool follow) const;

    const tree& tree_;
};

} // namespace vcsm::sim
