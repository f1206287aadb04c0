#include "block.hpp"

#include "copy.hpp"

#include <algorithm>
#include <cerrno>

namespace vcsm::detail {

block::block(std::shared_ptr<allocation> memory, std::size_t offset, std::size_t size, std::string name)
    : memory_{std::move(memory)}, offset_{offset}, size_{size}, name_{std::move(name)} {}

std::shared_ptr<allocation> block::memory() const {
    const std::lock_guard guard{mutex_};
    return memory_;
}

std::size_t block::size() const {
    const std::lock_guard guard{mutex_};
    return size_;
}

place block::place() const {
    const std::lock_guard guard{mutex_};
    return {memory_, {memory_->data() + offset_, size_}};
}

void block::move_to(std::shared_ptr<allocation> another, std::size_t size) {
    const std::lock_guard guard{mutex_};
    if (memory_->locks() > 0) {
        failure about;
        about.operation = "resize";
        about.device = memory_->from().name();
        about.block = name_;
        about.bytes = size;
        about.remedy = "it is locked: end its locks first";
        throw error{EBUSY, std::move(about)};
    }
    held_lock from{memory_, access_kind::read};
    held_lock into{another, access_kind::write};
    copy_bytes(another->data(), memory_->data() + offset_, std::min(size_, size));
    into.unlock();
    from.unlock();
    memory_.swap(another);
    offset_ = 0;
    size_ = size;
}

} // namespace vcsm::detail
