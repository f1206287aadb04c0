// A progress bar on a terminal, for what takes longer than half a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tool {

/// Draws one line on standard error, and takes it away at the end. Silent where that is no terminal.
class progress {
  public:
    /// `total` in bytes; 0: not known.
    progress(std::string doing, std::uint64_t total);
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;
    ~progress();

    void at(std::uint64_t bytes);

  private:
    using clock = std::chrono::steady_clock;

    std::string doing_;
    std::uint64_t total_;
    bool terminal_;
    bool drawn_ = false;
    clock::time_point next_;
};

} // namespace tool
