#include "faults/trial.hpp"

#include "device/simulated.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

#include <sys/mman.h>

namespace faults {

namespace {

namespace videocore = vcsm::videocore;

// Asking for the model makes one, which would be a fault too many: it is there once the service runs.
videocore::faults* model_faults() {
    const news_unwatched not_the_librarys;
    return vcsm::service_running() && vcsm::device::simulated_exists()
               ? &vcsm::device::simulated_videocore()->on_demand()
               : nullptr;
}

std::string errno_text(int value) {
    return value == partial ? "one byte alone" : std::strerror(value);
}

} // namespace

std::string fault::text() const {
    switch (what) {
    case kind::none:
        return "no fault";
    case kind::system_call:
        return "system call " + std::to_string(number) + " (" + std::string{name_of(at)} + ") giving " +
               errno_text(how.errno_value) + (how.times > 1 ? " many times" : "");
    case kind::operator_new:
        return "operator new " + std::to_string(number) + " throwing";
    case kind::videocore:
        return "VideoCore's " + std::string{videocore::to_string(asked)} + " " + std::to_string(number) + " giving " +
               errno_text(how.errno_value) + (how.times > 1 ? " many times" : "");
    }
    return {};
}

trial::trial(const fault& wanted, failing_calls& calls) : fault_{wanted}, calls_{calls} {
    void* const shared =
        ::mmap(nullptr, sizeof(childs_count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        std::abort();
    }
    child_ = new (shared) childs_count{};
}

trial::~trial() {
    ::munmap(child_, sizeof(childs_count));
}

void trial::child_ends() {
    calls_.arm(false);
    child_->news = news_watched::counted();
    child_->struck = calls_.failed() || news_watched::failed();
    child_->calls = std::min(calls_.made().size(), child_->made.size());
    std::copy_n(calls_.made().begin(), child_->calls, child_->made.begin());
}

std::uint64_t trial::news() const noexcept {
    return std::max(news_, child_->news);
}

std::vector<call> trial::calls() const {
    const auto& own = calls_.made();
    return child_->calls > own.size()
               ? std::vector<call>(child_->made.begin(),
                                   child_->made.begin() + static_cast<std::ptrdiff_t>(child_->calls))
               : own;
}

void trial::complain(std::string_view what) {
    const news_unwatched not_the_librarys;
    complaints_.emplace_back(what);
}

bool trial::struck() const {
    switch (fault_.what) {
    case fault::kind::none:
        return false;
    case fault::kind::system_call:
        return calls_.failed() || child_->struck;
    case fault::kind::operator_new:
        return new_failed_ || child_->struck;
    case fault::kind::videocore:
        return given_ > 0;
    }
    return false;
}

void trial::begin() {
    const videocore::faults* const asked = model_faults();
    for (unsigned what = 0; what < videocore::operation_count; ++what) {
        before_[what] = asked == nullptr ? 0 : asked->tries(static_cast<videocore::operation>(what));
    }
}

void trial::end() {
    const videocore::faults* const asked = model_faults();
    if (asked == nullptr) {
        return; // the service was stopped: what was tried of free is not known, and cannot fail visibly
    }
    for (unsigned what = 0; what < videocore::operation_count; ++what) {
        const std::uint64_t now = asked->tries(static_cast<videocore::operation>(what));
        for (std::uint64_t number = before_[what] + 1; number <= now; ++number) {
            tried_[what].push_back(number);
        }
    }
    given_ = asked->given();
}

// What a call may throw is in the public headers: vcsm::error and what derives from it, with the operation named; and
// bad_alloc where there was no memory. Nothing for what is to be repeated.
void trial::judge(std::string_view what, const std::exception_ptr& thrown) {
    const std::string step = "step \"" + std::string{what} + "\" ";
    if (fault_.what == fault::kind::none || !struck()) {
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception& failed) {
            complain(step + "failed though nothing was made to fail: " + failed.what());
        }
        return;
    }
    try {
        std::rethrow_exception(thrown);
    } catch (const vcsm::error& failed) {
        const std::string_view sentence = failed.what();
        if (failed.details().operation.empty() || sentence.rfind("cannot ", 0) != 0 ||
            sentence.find("cannot go on") == 0) {
            complain(step + "failed without naming the operation: " + std::string{sentence});
        }
        if (fault_.what == fault::kind::operator_new && failed.code().value() != ENOMEM) {
            complain(step + "made of a lack of memory something else: " + std::string{sentence});
        }
    } catch (const std::bad_alloc&) {
        if (fault_.what != fault::kind::operator_new) {
            complain(step + "threw bad_alloc though there was memory");
        }
    } catch (const std::exception& failed) {
        complain(step + "threw what no header says: " + failed.what());
    } catch (...) {
        complain(step + "threw something that is no std::exception");
    }
    if (was_to_be_repeated()) {
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception& failed) {
            complain(step + "failed with what should have been repeated: " + failed.what());
        } catch (...) {
        }
    }
}

bool trial::was_to_be_repeated() const {
    return (fault_.what == fault::kind::system_call && is_repeated(fault_.at, fault_.how.errno_value)) ||
           (fault_.what == fault::kind::videocore &&
            (fault_.how.errno_value == EINTR || fault_.how.errno_value == EAGAIN));
}

// errno is what the kernel or VideoCore said, and ENOMEM where there was no memory.
void trial::judge_errno(std::string_view what, int failed_with, int or_with) {
    const std::string step = "step \"" + std::string{what} + "\" ";
    const std::string with = " (" + std::to_string(failed_with) + ", " + std::strerror(failed_with) + ")";
    if (fault_.what == fault::kind::none || !struck()) {
        complain(step + "failed though nothing was made to fail" + with);
    } else if (was_to_be_repeated()) {
        complain(step + "failed with what should have been repeated" + with);
    } else if (failed_with != or_with &&
               failed_with != (fault_.what == fault::kind::operator_new ? ENOMEM : fault_.how.errno_value)) {
        complain(step + "set another errno than what it failed with" + with);
    }
}

outcome& outcome::operator+=(const outcome& other) {
    injected += other.injected;
    leaked += other.leaked;
    stuck += other.stuck;
    crashed += other.crashed;
    broken += other.broken;
    report += other.report;
    return *this;
}

} // namespace faults
