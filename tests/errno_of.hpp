// How a call was refused.
#pragma once

#include <vcsm/error.hpp>

#include <string>
#include <utility>

namespace vcsm_tests {

/// errno of the vcsm::error that `call` throws, and in `said` its sentence; 0 where it throws none.
template <class Call>
int errno_of(Call&& call, std::string* said = nullptr) {
    try {
        std::forward<Call>(call)();
        return 0;
    } catch (const vcsm::error& refused) {
        if (said != nullptr) {
            *said = refused.what();
        }
        return refused.code().value();
    }
}

} // namespace vcsm_tests
