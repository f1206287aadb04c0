#include "videocore/model.hpp"

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace vcsm::videocore {

namespace {

[[noreturn]] void fail(int errno_value, const std::string& what) {
    throw std::system_error{errno_value, std::generic_category(), what};
}

model_options checked(model_options options) {
    options.memory = kernel::round_up_to_pages(options.memory);
    // Three regions of this size lie in one file, see storage.hpp.
    constexpr std::size_t most = static_cast<std::size_t>(PTRDIFF_MAX) / 4;
    if (options.memory == 0 || options.memory > most) {
        throw std::invalid_argument{"a simulated VideoCore needs between 1 and " + std::to_string(most) +
                                    " bytes of memory"};
    }
    return options;
}

} // namespace

std::size_t parse_bytes(std::string_view text, std::string_view what) {
    std::size_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [after, problem] = std::from_chars(text.data(), end, number);
    unsigned shift = 0;
    if (problem == std::errc{} && end - after == 1) {
        const std::string_view units = "KMG";
        const std::size_t unit = units.find(*after);
        shift = unit == std::string_view::npos ? 0 : 10 * (static_cast<unsigned>(unit) + 1);
    }
    const bool whole = problem == std::errc{} && (after == end || shift != 0);
    if (!whole || number == 0 || number > (SIZE_MAX >> shift)) {
        throw std::invalid_argument{std::string{what} + " is \"" + std::string{text} +
                                    "\", which is no size: write bytes such as 134217728, or 64K, 128M, 2G"};
    }
    return number << shift;
}

std::shared_ptr<model> model::make(const model_options& options) {
    return std::make_shared<model>(options);
}

model_options model::options_from_environment() {
    model_options options;
    if (const char* const memory = ::secure_getenv("VCSM_SIM_MEMORY"); memory != nullptr && *memory != '\0') {
        options.memory = parse_bytes(memory, "VCSM_SIM_MEMORY");
    }
    if (const char* const list = ::secure_getenv("VCSM_SIM_FAULTS"); list != nullptr) {
        options.faults = list;
    }
    return options;
}

model::model(const model_options& options)
    : options_{checked(options)}, faults_{options_.faults}, arena_{options_.one_arena
                                                                       ? std::make_shared<arena>(options_.memory)
                                                                       : nullptr},
      space_{std::make_shared<address_space>(options_.memory, kernel::page_size())} {}

std::size_t model::take(std::size_t bytes, std::size_t alignment) {
    const std::lock_guard guard{space_->mutex};
    const auto offset = space_->pieces.take(bytes, alignment, static_cast<std::size_t>(options_.bus_base));
    if (!offset) {
        fail(ENOMEM, "allocate");
    }
    return *offset;
}

void model::give_back(std::size_t offset, std::size_t bytes) noexcept {
    const std::lock_guard guard{space_->mutex};
    space_->pieces.give_back(offset, bytes);
}

std::shared_ptr<block> model::enter(std::shared_ptr<block> made) {
    const std::lock_guard guard{mutex_};
    do { // not 0, and none that is in use; after 2^32 allocations they come again
        ++last_handle_;
    } while (last_handle_ == 0 || blocks_.count(last_handle_) != 0);
    made->handle_ = last_handle_;
    blocks_.emplace(last_handle_, made);
    return made;
}

std::shared_ptr<block>
model::make_block(const block::description& wanted,
                  const std::function<std::unique_ptr<storage>(std::size_t offset, std::size_t bytes)>& make_storage) {
    if (wanted.bytes == 0) {
        fail(EINVAL, "allocate");
    }
    const std::size_t bytes = kernel::round_up_to_pages(wanted.bytes);
    if (bytes == 0) {
        fail(ENOMEM, "allocate");
    }
    const std::size_t offset = take(bytes, wanted.alignment);
    try {
        return std::make_shared<block>(*this, wanted, offset, options_.bus_base + offset, make_storage(offset, bytes));
    } catch (...) {
        give_back(offset, bytes);
        throw;
    }
}

std::unique_ptr<storage> model::own_storage(const block::description& wanted, std::size_t offset, std::size_t bytes) {
    const bool cached = is_host_cached(wanted.cache);
    return arena_ ? arena_->at(offset, bytes, cached) : separate_storage(wanted.name, bytes, cached);
}

std::shared_ptr<block> model::allocate(const block::description& wanted) {
    return enter(allocate_unknown(wanted));
}

std::shared_ptr<block> model::allocate_unknown(const block::description& wanted) {
    return make_block(wanted,
                      [&](std::size_t offset, std::size_t bytes) { return own_storage(wanted, offset, bytes); });
}

std::shared_ptr<block> model::adopt(kernel::unique_fd memfd, const block::description& what) {
    return make_block(what, [&](std::size_t, std::size_t bytes) {
        return storage_in(std::move(memfd), 0, bytes, is_host_cached(what.cache), false);
    });
}

std::shared_ptr<block> model::allocate_in(kernel::unique_fd memfd, std::optional<std::size_t> position,
                                          const block::description& wanted) {
    return enter(make_block(wanted, [&](std::size_t offset, std::size_t bytes) {
        return storage_in(std::move(memfd), position.value_or(offset), bytes, is_host_cached(wanted.cache), true);
    }));
}

std::shared_ptr<block> model::introduce(const std::shared_ptr<block>& source, const std::string& name,
                                        cache_mode cache) {
    if (is_host_cached(cache)) {
        const std::lock_guard guard{source->mutex_};
        source->bytes().begin_caching();
    }
    return enter(std::make_shared<block>(*this, block::description{source->capacity(), name, cache, 1}, source));
}

std::shared_ptr<block> model::import(int memfd, const std::string& name, cache_mode cache) {
    const std::size_t bytes = bytes_of_memfd(memfd);
    if (bytes == 0 || !arena_) {
        fail(EINVAL, "import");
    }
    const std::size_t offset = take(bytes, 1);
    std::shared_ptr<block> made;
    try {
        made = std::make_shared<block>(*this, block::description{bytes, name, cache, 1}, offset,
                                       options_.bus_base + offset,
                                       arena_->show(kernel::duplicate(memfd), offset, bytes, is_host_cached(cache)));
    } catch (...) {
        give_back(offset, bytes);
        throw;
    }
    if (is_host_cached(cache)) {
        made->begin_access(true); // nothing of it is in the CPU's cache: no line is dirty
    }
    return enter(std::move(made));
}

std::shared_ptr<block> model::find(std::uint32_t handle) const {
    const std::lock_guard guard{mutex_};
    const auto found = blocks_.find(handle);
    return found == blocks_.end() ? nullptr : found->second;
}

std::shared_ptr<block> model::find_or_throw(std::uint32_t handle, const char* what) const {
    std::shared_ptr<block> found = find(handle);
    if (!found) {
        fail(ENOENT, std::string{what} + " VideoCore handle " + std::to_string(handle));
    }
    return found;
}

std::shared_ptr<block> model::taken_out_if_unused(std::uint32_t handle) noexcept {
    const auto found = blocks_.find(handle);
    if (found == blocks_.end() || !found->second->freed_ || found->second->held_ > 0) {
        return nullptr;
    }
    std::shared_ptr<block> last = std::move(found->second);
    blocks_.erase(found);
    return last;
}

void model::free(const std::shared_ptr<block>& which) noexcept {
    std::shared_ptr<block> last; // its end, which may take a while, comes after the mutex is free
    const std::lock_guard guard{mutex_};
    which->freed_ = true;
    last = taken_out_if_unused(which->handle_);
}

void model::read(std::uint32_t handle, std::size_t offset, std::span<std::byte> into) {
    const std::shared_ptr<block> from = find_or_throw(handle, "read");
    if (offset > from->capacity() || into.size() > from->capacity() - offset) {
        fail(EINVAL, "read");
    }
    int fault = faults_.next(operation::read);
    while (fault == EINTR || fault == EAGAIN) { // repeated, as every other operation is
        fault = faults_.next(operation::read);
    }
    if (fault > 0) {
        fail(fault, "read");
    }
    if (into.empty()) {
        return;
    }
    {
        const std::lock_guard guard{from->mutex_};
        from->bytes().videocore_reads(offset, into);
    }
    if (fault == faults::flip) {
        into[into.size() / 2] ^= std::byte{1};
    }
}

void model::write(std::uint32_t handle, std::size_t offset, std::span<const std::byte> from) {
    const std::shared_ptr<block> into = find_or_throw(handle, "write");
    if (offset > into->capacity() || from.size() > into->capacity() - offset) {
        fail(EINVAL, "write");
    }
    if (!from.empty()) {
        const std::lock_guard guard{into->mutex_};
        into->bytes().videocore_writes(offset, from);
    }
}

void model::hold(std::uint32_t handle) {
    const std::shared_ptr<block> which = find_or_throw(handle, "hold");
    const std::lock_guard guard{mutex_};
    if (which->freed_ && which->held_ == 0) {
        fail(ENOENT, "hold VideoCore handle " + std::to_string(handle)); // freed since it was found
    }
    ++which->held_;
}

void model::release(std::uint32_t handle) {
    const std::shared_ptr<block> which = find_or_throw(handle, "release");
    std::shared_ptr<block> last; // as in free()
    const std::lock_guard guard{mutex_};
    if (which->held_ == 0) {
        // Gone since it was found, where the last who held it let go meanwhile.
        fail(which->freed_ ? ENOENT : EINVAL, "release VideoCore handle " + std::to_string(handle));
    }
    --which->held_;
    last = taken_out_if_unused(handle);
}

std::vector<block_state> model::list() const {
    const std::lock_guard guard{mutex_};
    std::vector<block_state> all;
    all.reserve(blocks_.size());
    for (const auto& [handle, which] : blocks_) {
        all.push_back({handle, which->about_.name, which->about_.bytes, which->capacity(), which->bus_address_,
                       which->about_.cache, which->locks_.load(), which->held_, !which->freed_});
    }
    return all;
}

room model::room() const {
    const std::lock_guard guard{space_->mutex};
    return {space_->pieces.size(), space_->pieces.free_bytes(), space_->pieces.largest_free()};
}

void model::abandon() noexcept {
    if (arena_) {
        arena_->abandon();
    }
}

} // namespace vcsm::videocore
