#include "videocore/model.hpp"

#include <cerrno>
#include <system_error>

namespace vcsm::videocore {

block::block(model& home, description what, std::size_t offset, std::uint64_t bus_address,
             std::unique_ptr<storage> bytes)
    : home_{&home}, space_{home.space_}, about_{std::move(what)}, offset_{offset},
      bus_address_{bus_address}, storage_{std::move(bytes)}, mutex_{own_mutex_} {}

block::block(model& home, description what, std::shared_ptr<block> source)
    : home_{&home}, space_{home.space_}, about_{std::move(what)}, offset_{source->offset_},
      bus_address_{source->bus_address_}, source_{std::move(source)}, storage_{source_->storage_},
      mutex_{source_->mutex_} {}

block::~block() {
    if (source_) {
        return;
    }
    const std::size_t taken = capacity();
    storage_.reset(); // before anybody else can have the range
    const std::lock_guard guard{space_->mutex};
    space_->pieces.give_back(offset_, taken);
}

void block::begin_access(bool reads) {
    if (!storage_->cached()) {
        return;
    }
    const std::lock_guard guard{mutex_};
    if (reads) {
        invalidate(storage_->all());
    } else {
        refetch_clean_lines(storage_->all());
    }
}

std::size_t block::end_access(bool wrote) {
    if (!storage_->cached() || !wrote) {
        return 0;
    }
    const std::lock_guard guard{mutex_};
    return clean(storage_->all());
}

void block::maintain(std::size_t offset, std::size_t bytes, bool clean_lines, bool forget) {
    if (!storage_->cached() || bytes == 0) {
        return;
    }
    const std::size_t first = offset & ~(cache_line_bytes - 1);
    const std::size_t end = (offset + bytes + cache_line_bytes - 1) & ~(cache_line_bytes - 1);
    const auto part = [&](std::span<std::byte> of) { return of.subspan(first, end - first); };
    const copies& all = storage_->all();
    const copies lines{part(all.videocore), part(all.cpu), part(all.baseline)};
    const std::lock_guard guard{mutex_};
    if (clean_lines) {
        clean(lines);
    }
    if (forget) {
        invalidate(lines);
    }
}

std::size_t block::unsynced_lines() const {
    if (!storage_->cached()) {
        return 0;
    }
    const std::lock_guard guard{mutex_};
    return dirty_lines(storage_->all());
}

int block::videocore_memfd() {
    const std::lock_guard guard{mutex_};
    if (!storage_->cached() && storage_->cpu_memfd() < 0 && locks_.load() > 0) {
        throw std::system_error{EBUSY, std::generic_category(), "export a locked block"};
    }
    return storage_->videocore_memfd();
}

} // namespace vcsm::videocore
