// Time in which other Python threads may run.
#pragma once

#include <nanobind/nanobind.h>

#include <unistd.h>

namespace vcsm::python {

/// Gives up Python's interpreter lock (the GIL) and takes it back with the object's end.
///
/// Python before 3.14 ends a thread that asks for the lock when the interpreter has ended, a daemon thread in the
/// middle of a copy, by unwinding its stack; through a destructor that is std::terminate. Such a thread waits here for
/// the end of the process instead, as Python itself lets it since 3.14.
class without_gil {
  public:
    without_gil() noexcept : state_{PyEval_SaveThread()} {}
    without_gil(const without_gil&) = delete;
    without_gil& operator=(const without_gil&) = delete;
    ~without_gil() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) { // by its type, abi::__forced_unwind&, the reference would be to nothing
            for (;;) {
                ::pause();
            }
        }
    }

  private:
    PyThreadState* state_;
};

} // namespace vcsm::python
