#include <vcsm/shared_memory.hpp>

#include "copy.hpp"
#include "refusal.hpp"
#include "service.hpp"

#include <stdexcept>
#include <string>
#include <utility>

namespace vcsm {

namespace {

// What a block's memory is asked for, with the block's name in the message.
template <class Ask>
auto asked(detail::reference& reference, const char* operation, Ask&& ask) {
    detail::block& which = reference.get();
    try {
        return which.with_memory([&](device::memory& memory) {
            auto given = ask(memory);
            which.handed_out = true;
            return given;
        });
    } catch (...) {
        failure about;
        about.operation = operation;
        about.device = which.memory()->from().name();
        about.block = which.name();
        detail::rethrow_about(std::move(about));
    }
}

std::string described(const detail::block& which, std::size_t size) {
    return "block \"" + which.name() + "\" of " + std::to_string(size) + " bytes";
}

[[noreturn]] void throw_beyond(const detail::block& which, std::size_t size, std::size_t offset) {
    throw std::invalid_argument{"offset " + std::to_string(offset) + " is beyond the end of " + described(which, size)};
}

[[noreturn]] void throw_too_much(const detail::block& which, std::size_t size, const char* doing, std::size_t bytes,
                                 std::size_t offset) {
    throw std::length_error{"cannot " + std::string{doing} + " " + std::to_string(bytes) + " bytes at offset " +
                            std::to_string(offset) + " of " + described(which, size) +
                            ": they do not fit, nothing was done"};
}

// The promise to write all is the block's; where it shares its allocation, its neighbours' bytes are wanted.
detail::access_kind kind_for(const detail::block& which, detail::access_kind wanted) noexcept {
    return wanted == detail::access_kind::overwrite && !which.alone() ? detail::access_kind::write : wanted;
}

// The part of the block that a copy is about.
std::span<std::byte> part_of(const detail::block& which, const detail::place& whole, const char* doing,
                             std::size_t bytes, std::size_t offset) {
    const std::size_t size = whole.bytes.size();
    if (offset > size) {
        throw_beyond(which, size, offset);
    }
    if (bytes > size - offset) {
        throw_too_much(which, size, doing, bytes, offset);
    }
    return whole.bytes.subspan(offset, bytes);
}

} // namespace

shared_memory::shared_memory(std::shared_ptr<detail::reference> reference) noexcept
    : reference_{std::move(reference)} {}

shared_memory::shared_memory(std::size_t size, std::string_view name, block_options options)
    : reference_{detail::service::instance().allocate(size, name, options)} {}

shared_memory::shared_memory(shared_memory&& other) noexcept : reference_{std::move(other.reference_)} {}

shared_memory& shared_memory::operator=(shared_memory&& other) noexcept {
    if (this != &other) {
        close();
        reference_ = std::move(other.reference_);
    }
    return *this;
}

shared_memory::~shared_memory() {
    close();
}

shared_memory shared_memory::from_dmabuf(int descriptor, std::string_view name, std::size_t size) {
    return shared_memory{detail::service::instance().import_dmabuf(descriptor, name, size)};
}

namespace {

detail::reference& held(const std::shared_ptr<detail::reference>& reference) {
    if (!reference) {
        detail::throw_no_block(detail::fate::freed, {}, 0);
    }
    return *reference;
}

} // namespace

shared_memory shared_memory::share() const {
    return shared_memory{detail::service::instance().share(held(reference_))};
}

shared_memory::operator bool() const noexcept {
    return reference_ != nullptr && reference_->alive();
}

void shared_memory::close() noexcept {
    std::shared_ptr<detail::reference> ending = std::move(reference_);
    if (!ending) {
        return;
    }
    if (ending->handle() == 0) {
        // The block cannot go while its reference is here.
        detail::block& which = *ending->shared();
        which.take_back(std::move(ending));
    } else if (ending->alive()) {
        detail::service::instance().free(ending->handle());
    }
}

std::size_t shared_memory::size() const {
    return held(reference_).get().size();
}

std::size_t shared_memory::capacity() const {
    return held(reference_).get().capacity();
}

const std::string& shared_memory::name() const {
    return held(reference_).get().name();
}

std::string_view shared_memory::device() const {
    return held(reference_).get().memory()->from().name();
}

std::uint32_t shared_memory::handle() const {
    (void)held(reference_).get();
    const std::uint32_t given = reference_->handle();
    return given != 0 ? given : detail::service::instance().name(reference_);
}

cache_mode shared_memory::granted_cache() const {
    return held(reference_).get().memory()->granted_cache();
}

namespace {

// What stands for the whole allocation says nothing about a block in the middle of it.
void throw_unless_first(const detail::block& which, const char* operation, const char* instead) {
    if (which.offset() > 0) {
        failure about;
        about.operation = operation;
        about.device = which.memory()->from().name();
        about.block = which.name();
        about.remedy = "it lies " + std::to_string(which.offset()) +
                       " bytes behind the start of its pool's memory: take " + instead + ", which gives that as well";
        throw not_supported{std::move(about)};
    }
}

} // namespace

std::uint32_t shared_memory::videocore_handle() const {
    throw_unless_first(held(reference_).get(), "give the VideoCore handle of", "location()");
    return location().videocore_handle;
}

location shared_memory::location() const {
    const auto given = asked(held(reference_), "give the VideoCore handle of",
                             [](device::memory& memory) { return memory.videocore_handle(); });
    return {given, reference_->shared()->offset()};
}

std::uint64_t shared_memory::bus_address() const {
    const auto given =
        asked(held(reference_), "give the bus address of", [](device::memory& memory) { return memory.bus_address(); });
    return given + reference_->shared()->offset();
}

int shared_memory::dmabuf() const {
    throw_unless_first(held(reference_).get(), "give a dma-buf of", "dmabuf_location()");
    return dmabuf_location().descriptor;
}

dmabuf_place shared_memory::dmabuf_location() const {
    const auto given =
        asked(held(reference_), "give a dma-buf of", [](device::memory& memory) { return memory.dmabuf(); });
    return {given, reference_->shared()->offset()};
}

int shared_memory::export_dmabuf() const {
    throw_unless_first(held(reference_).get(), "export", "dmabuf_location()");
    kernel::unique_fd exported =
        asked(held(reference_), "export", [](device::memory& memory) { return kernel::duplicate(memory.dmabuf()); });
    return exported.release();
}

detail::held_part shared_memory::hold(detail::access_kind kind, std::size_t offset, std::size_t count,
                                      std::size_t element, std::size_t alignment) const {
    detail::block& which = held(reference_).get();
    detail::place whole = which.place();
    const std::size_t size = whole.bytes.size();
    if (offset > size) {
        throw_beyond(which, size, offset);
    }
    const std::size_t there = (size - offset) / element;
    if (count == static_cast<std::size_t>(-1)) {
        count = there;
    } else if (count > there) {
        throw_too_much(which, size, "lock", count > SIZE_MAX / element ? SIZE_MAX : count * element, offset);
    }
    std::byte* const first = whole.bytes.data() + offset;
    if (reinterpret_cast<std::uintptr_t>(first) % alignment != 0) {
        throw std::invalid_argument{"offset " + std::to_string(offset) + " of " + described(which, size) +
                                    " is not aligned to the " + std::to_string(alignment) +
                                    " bytes that its elements need"};
    }
    return {{std::move(whole.memory), kind_for(which, kind)}, first, count};
}

void shared_memory::write_bytes(std::span<const std::byte> source, std::size_t offset) {
    detail::block& which = held(reference_).get();
    detail::place whole = which.place();
    const std::span<std::byte> part = part_of(which, whole, "copy", source.size(), offset);
    if (part.empty()) {
        return;
    }
    // A lock that promises to write all needs no invalidation, but VideoCore's bytes behind the end, in the block's
    // last cache line, must not be lost: whole lines (of 64 bytes, or the 128 of larger systems) only.
    constexpr std::size_t widest_cache_line = 128;
    const bool all = part.size() == whole.bytes.size() && part.size() % widest_cache_line == 0;
    const auto kind = kind_for(which, all ? detail::access_kind::overwrite : detail::access_kind::write);
    detail::held_lock locked{std::move(whole.memory), kind};
    detail::copy_bytes(part.data(), source.data(), source.size());
    locked.unlock();
}

void shared_memory::read_bytes(std::span<std::byte> target, std::size_t offset) const {
    detail::block& which = held(reference_).get();
    detail::place whole = which.place();
    const std::span<const std::byte> part = part_of(which, whole, "copy out", target.size(), offset);
    if (part.empty()) {
        return;
    }
    detail::held_lock locked{std::move(whole.memory), detail::access_kind::read};
    detail::copy_bytes(target.data(), part.data(), target.size(), detail::next_reader::cpu);
    locked.unlock();
}

void shared_memory::resize(std::size_t size) {
    detail::service::instance().resize(held(reference_), size);
}

} // namespace vcsm
