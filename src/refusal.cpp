#include "refusal.hpp"

#include <utility>

namespace vcsm::detail {

void rethrow_about(failure about) {
    try {
        throw;
    } catch (const no_block&) {
        throw;
    } catch (const error& refused) {
        about.remedy = refused.details().remedy;
        throw_error(refused.code().value(), std::move(about));
    } catch (const std::system_error& refused) {
        throw_error(refused.code().value(), std::move(about));
    }
}

} // namespace vcsm::detail
