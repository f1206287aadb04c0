// VideoCore's side of a program that runs under vcsm-sim: its socket, a command a line, an answer a line.
#pragma once

#include <vcsm/videocore.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vcsm::videocore {

/// One connection to vcsm-sim for each call: nothing is kept, so that neither fork nor threads need care. All throw
/// std::system_error with the errno that vcsm-sim answers, or that of the connection.
class remote {
  public:
    /// The one that VCSM_SIM_CONTROL names, or nothing: this program does not run under vcsm-sim.
    [[nodiscard]] static std::optional<remote> from_environment();
    explicit remote(std::string socket_path) : path_{std::move(socket_path)} {}

    void read(std::uint32_t handle, std::size_t offset, std::span<std::byte> into) const;
    void write(std::uint32_t handle, std::size_t offset, std::span<const std::byte> from) const;
    void hold(std::uint32_t handle) const;
    void release(std::uint32_t handle) const;
    [[nodiscard]] std::vector<block_state> list() const;

    /// The answer's line to a command's, which says that all went well.
    [[nodiscard]] std::string ask(const std::string& command) const;

  private:
    std::string path_;
};

/// The blocks in an answer to `list`. Throws std::system_error (EPROTO) for anything else.
[[nodiscard]] std::vector<block_state> parse_blocks(std::string_view answer);

} // namespace vcsm::videocore
