#include "videocore/faults.hpp"

#include <cerrno>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <string>

namespace vcsm::videocore {

namespace {

constexpr std::array<std::string_view, operation_count> names{"alloc",  "import", "sync", "map", "lock",
                                                              "unlock", "resize", "free", "read"};

struct named_errno {
    std::string_view name;
    int value;
};

constexpr std::array errnos{
    named_errno{"EPERM", EPERM},     named_errno{"ENOENT", ENOENT},
    named_errno{"EINTR", EINTR},     named_errno{"EIO", EIO},
    named_errno{"ENXIO", ENXIO},     named_errno{"EBADF", EBADF},
    named_errno{"EAGAIN", EAGAIN},   named_errno{"ENOMEM", ENOMEM},
    named_errno{"EACCES", EACCES},   named_errno{"EFAULT", EFAULT},
    named_errno{"EBUSY", EBUSY},     named_errno{"ENODEV", ENODEV},
    named_errno{"EINVAL", EINVAL},   named_errno{"ENFILE", ENFILE},
    named_errno{"EMFILE", EMFILE},   named_errno{"ENOTTY", ENOTTY},
    named_errno{"ENOSPC", ENOSPC},   named_errno{"ENOSYS", ENOSYS},
    named_errno{"ENOTSUP", ENOTSUP}, named_errno{"ETIMEDOUT", ETIMEDOUT},
    named_errno{"EPROTO", EPROTO},   named_errno{"EOVERFLOW", EOVERFLOW},
};

[[noreturn]] void refuse(std::string_view item, std::string_view why) {
    std::string known;
    for (const std::string_view name : names) {
        known += known.empty() ? "" : ", ";
        known += name;
    }
    throw std::invalid_argument{"fault \"" + std::string{item} + "\": " + std::string{why} +
                                "; write OPERATION@N=ERRNO, @N-M=ERRNO or @*=ERRNO, separated by commas, with "
                                "OPERATION one of " +
                                known + ", an ERRNO such as ENOMEM or EINTR, or read@N=flip"};
}

std::optional<std::uint64_t> parse_count(std::string_view digits) {
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (problem != std::errc{} || end != digits.data() + digits.size() || number == 0) {
        return std::nullopt;
    }
    return number;
}

} // namespace

std::string_view to_string(operation what) noexcept {
    return names[static_cast<std::size_t>(what)];
}

faults::faults(std::string_view list) {
    if (list.empty()) {
        return;
    }
    for (std::string_view rest = list;;) {
        const std::size_t comma = rest.find(',');
        const std::string_view item = rest.substr(0, comma);
        const std::size_t at = item.find('@');
        const std::size_t equals = item.find('=');
        if (at == std::string_view::npos || equals == std::string_view::npos || equals < at) {
            refuse(item, "it has no @ or no =");
        }
        rule parsed{operation::alloc, 0, 0, 0};
        std::size_t number = 0;
        while (number < names.size() && names[number] != item.substr(0, at)) {
            ++number;
        }
        if (number == names.size()) {
            refuse(item, "there is no operation \"" + std::string{item.substr(0, at)} + "\"");
        }
        parsed.what = static_cast<operation>(number);
        const std::string_view when = item.substr(at + 1, equals - at - 1);
        if (when != "*") {
            const std::size_t dash = when.find('-');
            const auto first = parse_count(when.substr(0, dash));
            const auto last = dash == std::string_view::npos ? first : parse_count(when.substr(dash + 1));
            if (!first || !last || *last < *first) {
                refuse(item, "\"" + std::string{when} + "\" is no count of calls from 1 on");
            }
            parsed.first = *first;
            parsed.last = *last;
        }
        const std::string_view result = item.substr(equals + 1);
        if (result == "flip") {
            if (parsed.what != operation::read) {
                refuse(item, "flip goes with read alone");
            }
            parsed.result = flip;
        } else {
            for (const named_errno& known : errnos) {
                if (known.name == result) {
                    parsed.result = known.value;
                }
            }
            if (parsed.result == 0) {
                refuse(item, "there is no errno \"" + std::string{result} + "\" here");
            }
        }
        rules_.push_back(parsed);
        if (comma == std::string_view::npos) {
            return;
        }
        rest = rest.substr(comma + 1);
    }
}

int faults::next(operation what, std::uint64_t caller) noexcept {
    if (rules_.empty()) {
        return 0;
    }
    const std::lock_guard guard{mutex_};
    const std::uint64_t number = ++tries_[static_cast<std::size_t>(what)];
    for (const rule& listed : rules_) {
        if (listed.what != what) {
            continue;
        }
        if (listed.first != 0) {
            if (number >= listed.first && number <= listed.last) {
                ++given_;
                return listed.result;
            }
        } else if (listed.result != EINTR && listed.result != EAGAIN) {
            ++given_; // nobody repeats it: the next try is the next call's first
            return listed.result;
        } else if (failed_once_.erase({what, caller}) == 0) {
            try {
                failed_once_.emplace(what, caller);
            } catch (const std::bad_alloc&) {
                return 0; // without a note of it, the repeated call would fail for ever
            }
            ++given_;
            return listed.result;
        }
    }
    return 0;
}

std::uint64_t faults::tries(operation what) const noexcept {
    const std::lock_guard guard{mutex_};
    return tries_[static_cast<std::size_t>(what)];
}

std::uint64_t faults::given() const noexcept {
    const std::lock_guard guard{mutex_};
    return given_;
}

} // namespace vcsm::videocore
