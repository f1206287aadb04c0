#include <vcsm/error.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace vcsm {

struct error::parts {
    failure what;
    std::string sentence;
};

namespace {

struct errno_name {
    int value;
    const char* name;
};

// Those that the kernel interfaces of this library give; the text alone serves for any other.
constexpr std::array errno_names{
    errno_name{EPERM, "EPERM"},         errno_name{ENOENT, "ENOENT"},
    errno_name{EINTR, "EINTR"},         errno_name{EIO, "EIO"},
    errno_name{ENXIO, "ENXIO"},         errno_name{EBADF, "EBADF"},
    errno_name{EAGAIN, "EAGAIN"},       errno_name{ENOMEM, "ENOMEM"},
    errno_name{EACCES, "EACCES"},       errno_name{EFAULT, "EFAULT"},
    errno_name{EBUSY, "EBUSY"},         errno_name{ENODEV, "ENODEV"},
    errno_name{EINVAL, "EINVAL"},       errno_name{EMFILE, "EMFILE"},
    errno_name{ENFILE, "ENFILE"},       errno_name{ENOTTY, "ENOTTY"},
    errno_name{ENOSPC, "ENOSPC"},       errno_name{ENOSYS, "ENOSYS"},
    errno_name{ENOTSUP, "ENOTSUP"},     errno_name{EPROTO, "EPROTO"},
    errno_name{EOVERFLOW, "EOVERFLOW"}, errno_name{ENOTDIR, "ENOTDIR"},
    errno_name{EISDIR, "EISDIR"},       errno_name{EPIPE, "EPIPE"},
    errno_name{ETIMEDOUT, "ETIMEDOUT"},
};

std::string sentence_of(int errno_value, const failure& what) {
    std::string text = "cannot " + (what.operation.empty() ? std::string{"go on"} : what.operation);
    if (!what.block.empty()) {
        text += " block \"" + what.block + "\"";
    }
    if (what.bytes) {
        text += (what.block.empty() ? " " : " of ") + std::to_string(*what.bytes) + " bytes";
    }
    if (!what.device.empty()) {
        text += " on " + what.device;
    }
    text += ": " + std::generic_category().message(errno_value);
    for (const errno_name& known : errno_names) {
        if (known.value == errno_value) {
            text += std::string{" ("} + known.name + ")";
            break;
        }
    }
    if (!what.remedy.empty()) {
        text += "; " + what.remedy;
    }
    return text;
}

} // namespace

error::error(int errno_value, failure what) : std::system_error{errno_value, std::generic_category()} {
    std::string sentence = sentence_of(errno_value, what);
    parts_ = std::make_shared<const parts>(parts{std::move(what), std::move(sentence)});
}

const char* error::what() const noexcept {
    return parts_->sentence.c_str();
}

const failure& error::details() const noexcept {
    return parts_->what;
}

out_of_memory::out_of_memory(failure what) : error{ENOMEM, std::move(what)} {}
not_supported::not_supported(failure what) : error{ENOTSUP, std::move(what)} {}
no_block::no_block(failure what) : error{EBADF, std::move(what)} {}

void throw_error(int errno_value, failure what) {
    switch (errno_value) {
    case ENOMEM:
        throw out_of_memory{std::move(what)};
    case ENOTSUP:
        throw not_supported{std::move(what)};
    default:
        throw error{errno_value, std::move(what)};
    }
}

namespace {

constexpr std::array<std::string_view, 4> cache_names{"none", "host", "videocore", "both"};

} // namespace

std::string_view to_string(cache_mode mode) noexcept {
    const auto number = static_cast<std::size_t>(mode);
    return number < cache_names.size() ? cache_names[number] : "unknown";
}

cache_mode parse_cache_mode(std::string_view name) {
    for (std::size_t number = 0; number < cache_names.size(); ++number) {
        if (cache_names[number] == name) {
            return static_cast<cache_mode>(number);
        }
    }
    throw std::invalid_argument{"unknown cache mode \"" + std::string{name} +
                                "\": known are none, host, videocore and both"};
}

} // namespace vcsm
