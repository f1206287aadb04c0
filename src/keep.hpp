// What is never destroyed.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace vcsm::detail {

/// Gives one reference away for good: what it refers to is there until the process ends. Needs no memory, because the
/// child of a fork, which does this to what is the parent's, has nobody to tell that there is none.
template <class T>
void keep_for_ever(std::shared_ptr<T>&& what) noexcept {
    alignas(std::shared_ptr<T>) std::byte nobody_destroys_it[sizeof(std::shared_ptr<T>)];
    ::new (static_cast<void*>(nobody_destroys_it)) std::shared_ptr<T>{std::move(what)};
}

} // namespace vcsm::detail
