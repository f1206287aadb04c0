// The parts of the examination that ask nobody: text in, findings out.
#pragma once

#include <vcsm/doctor.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace vcsm::detail {

/// Names by number, as /etc/passwd and /etc/group have them; what is no such line is left out.
using names = std::map<std::uint32_t, std::string>;
[[nodiscard]] names parse_names(std::string_view text);
/// The number itself where nobody is called so.
[[nodiscard]] std::string name_of(const names& known, std::uint32_t number);

struct identity {
    std::uint32_t user = 0;
    std::vector<std::uint32_t> groups; ///< the effective one first, each once
};
/// Reads /proc/PID/status.
[[nodiscard]] identity parse_identity(std::string_view text);

/// Everything that is wrong with what was found, the most hindering first.
[[nodiscard]] std::vector<complaint> complaints_about(const examination& found);

} // namespace vcsm::detail
