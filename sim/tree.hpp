// The files that a program finds in place of, or beside, this machine's own.
#pragma once

#include "target.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace vcsm::sim {

struct board;

enum class node : unsigned { vcsm_cma, vcsm, heap, udmabuf, vcio, mem };

enum class text_file : unsigned { meminfo, compatible, model, revision, cma_state };

/// One path that is answered.
struct entry {
    enum class kind : unsigned {
        node,      ///< a device
        directory, ///< one that this machine does not have
        link,      ///< a symbolic link
        file,      ///< a text that is made when it is opened
        absent     ///< nothing, whatever this machine has there
    };
    kind what = kind::absent;
    std::string path;
    sim::node node = node::vcsm_cma;
    std::string text; ///< a link's text, or the name of a heap
    text_file file = text_file::meminfo;
    unsigned mode = 0; ///< permissions
    unsigned major = 0;
    unsigned minor = 0;
    gid_t group = 0;
    ino_t number = 0; ///< shown to the program
};

class tree {
  public:
    /// `scratch` is a directory of vcsm-sim's own, below which stands an empty directory for each that is answered.
    tree(const board& of, std::string scratch);

    /// What is answered at a path without symbolic links, "." or "..", or nothing: then it is this machine's affair.
    [[nodiscard]] const entry* find(std::string_view path) const;
    /// The path that a program means by one below the scratch directory; other paths as they are.
    [[nodiscard]] std::string as_seen(const std::string& path) const;
    /// The empty directory that stands for the answered one.
    [[nodiscard]] std::string stand_in(const entry& directory) const;

    /// Whether an answered path can lie in a file system, or in a directory, with this stat.
    [[nodiscard]] bool is_near(const struct stat& status) const noexcept;
    /// The answered directory whose stand-in this is, or nothing.
    [[nodiscard]] const entry* directory_at(const file_key& key) const noexcept;
    /// This machine's /dev.
    [[nodiscard]] bool is_dev(const file_key& key) const noexcept { return key == dev_; }
    /// The entries directly in `directory`.
    [[nodiscard]] std::vector<const entry*> in_directory(std::string_view directory) const;
    [[nodiscard]] const std::map<std::string, entry, std::less<>>& all() const noexcept { return entries_; }

  private:
    entry& add(entry::kind what, const std::string& path);
    void add_node(const std::string& path, node which, unsigned mode, unsigned major, unsigned minor);

    std::map<std::string, entry, std::less<>> entries_;
    std::string scratch_;
    std::set<dev_t> near_;
    file_key dev_;
    std::map<file_key, const entry*> stand_ins_;
};

} // namespace vcsm::sim
