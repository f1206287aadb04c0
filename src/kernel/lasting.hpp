// What is there before anything else begins, and is never destroyed.
#pragma once

namespace vcsm::kernel {

/// To be defined `constinit`, so that it needs no memory and nobody has to wait for its making: not the child of a fork
/// either, whose parent had another thread in the midst of that. Objects that outlive main() may still use it.
template <class T>
union lasting {
    T own;
    constexpr lasting() : own{} {}
    lasting(const lasting&) = delete;
    lasting& operator=(const lasting&) = delete;
    ~lasting() {} // NOLINT(modernize-use-equals-default): with = default it would be deleted
};

} // namespace vcsm::kernel
