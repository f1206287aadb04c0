// Another machine's /proc, /sys, /dev and /etc: a directory of plain files, put in the place of the real ones.
#pragma once

#include "kernel/calls.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <stdlib.h>

namespace vcsm_test {

class prefixed_root final : public vcsm::kernel::calls {
  public:
    prefixed_root() {
        std::string pattern = (std::filesystem::temp_directory_path() / "vcsm-root-XXXXXX").string();
        root_ = ::mkdtemp(pattern.data());
    }
    ~prefixed_root() override {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }

    void file(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path{root_ + path}.parent_path());
        std::ofstream{root_ + path, std::ios::binary} << text;
    }
    void link(const std::string& path, const std::string& target) {
        std::filesystem::create_directories(std::filesystem::path{root_ + path}.parent_path());
        std::filesystem::create_symlink(target, root_ + path);
    }
    /// Opening that path gives this errno, whoever runs the test.
    void refuse(const std::string& path, int errno_value) { refused_[path] = errno_value; }

    int open(const char* path, int flags, mode_t mode) override {
        if (const auto found = refused_.find(path); found != refused_.end()) {
            errno = found->second;
            return -1;
        }
        return calls::open(moved(path).c_str(), flags, mode);
    }
    int stat(const char* path, struct stat* result) override { return calls::stat(moved(path).c_str(), result); }
    int access(const char* path, int mode) override { return calls::access(moved(path).c_str(), mode); }
    ssize_t readlink(const char* path, char* buffer, std::size_t bytes) override {
        return calls::readlink(moved(path).c_str(), buffer, bytes);
    }

  private:
    [[nodiscard]] std::string moved(const std::string& path) const {
        for (const char* const top : {"/proc", "/sys", "/dev", "/etc"}) {
            if (path.rfind(top, 0) == 0 && path != "/dev/null") {
                return root_ + path;
            }
        }
        return path;
    }

    std::string root_;
    std::map<std::string, int> refused_;
};

} // namespace vcsm_test
