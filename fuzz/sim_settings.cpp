// What VCSM_SIM_FAULTS and VCSM_SIM_MEMORY hold, which anybody may have typed. The first byte says which.
#include "videocore/faults.hpp"
#include "videocore/model.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace videocore = vcsm::videocore;

namespace {

void require(bool held) {
    if (!held) {
        std::abort();
    }
}

// A list that is taken must be one that can be asked, for every operation, without end or crash.
void list_of_faults(std::string_view text) {
    try {
        videocore::faults list{text};
        for (unsigned round = 0; round < 3; ++round) {
            for (unsigned what = 0; what < videocore::operation_count; ++what) {
                const int result = list.next(static_cast<videocore::operation>(what), round);
                require(result >= 0 || result == videocore::faults::flip);
                require(result == 0 || list.any());
            }
        }
    } catch (const std::invalid_argument& refused) {
        require(std::string_view{refused.what()}.find("OPERATION") != std::string_view::npos);
    }
}

void size_of_memory(std::string_view text) {
    try {
        require(videocore::parse_bytes(text, "VCSM_SIM_MEMORY") > 0);
    } catch (const std::invalid_argument& refused) {
        require(std::string_view{refused.what()}.find("VCSM_SIM_MEMORY") == 0);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 0) {
        std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
        text = text.substr(0, text.find('\0')); // where an environment variable ends
        if (data[0] == 'm') {
            size_of_memory(text);
        } else {
            list_of_faults(text);
        }
    }
    return 0;
}
