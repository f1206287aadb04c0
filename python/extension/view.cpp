#include "view.hpp"

#include "allocation.hpp"
#include "without_gil.hpp"

#include <utility>

namespace vcsm::python {

view::view(const block& of, bool writes)
    : locked_{of.lock(writes ? detail::access_kind::write : detail::access_kind::read)}, writes_{writes} {
    ++held_;
}

view::~view() {
    if (pinned_) { // no buffer of it is left
        const without_gil others_run;
        locked_.allocation->unpin();
    }
    if (locked()) {
        detail::held_lock ending = take_lock();
        const without_gil others_run;
        const detail::held_lock ends_here = std::move(ending);
    }
}

detail::held_lock view::take_lock() noexcept {
    if (locked()) {
        --held_;
    }
    return std::move(locked_.lock);
}

void view::unlock() {
    const bool outlived = locked() && users_ > 0;
    detail::held_lock ending = take_lock();
    pinned_ = pinned_ || outlived;
    const without_gil others_run;
    if (outlived) {
        locked_.allocation->pin();
    }
    ending.unlock();
}

std::uintptr_t view::address() const {
    if (!locked()) {
        throw nb::value_error("this lock has ended: take a new one");
    }
    return reinterpret_cast<std::uintptr_t>(locked_.data);
}

int view::give_buffer(PyObject* self, Py_buffer* buffer, int flags) noexcept {
    if (!locked()) {
        buffer->obj = nullptr;
        PyErr_SetString(PyExc_ValueError, "this lock has ended: take a new one");
        return -1;
    }
    const int given =
        PyBuffer_FillInfo(buffer, self, locked_.data, static_cast<Py_ssize_t>(locked_.size), writes_ ? 0 : 1, flags);
    if (given == 0) {
        ++users_;
    }
    return given;
}

namespace {

int get_buffer(PyObject* self, Py_buffer* buffer, int flags) {
    return nb::inst_ptr<view>(self)->give_buffer(self, buffer, flags);
}

void release_buffer(PyObject* self, Py_buffer*) {
    nb::inst_ptr<view>(self)->take_back_buffer();
}

PyType_Slot buffer_slots[] = {
    {Py_bf_getbuffer, reinterpret_cast<void*>(&get_buffer)},
    {Py_bf_releasebuffer, reinterpret_cast<void*>(&release_buffer)},
    {0, nullptr},
};

} // namespace

void define_view(nb::module_& module) {
    nb::class_<view>(module, "View", nb::type_slots(buffer_slots))
        .def(nb::init<const block&, bool>(), nb::arg("block"), nb::arg("writes"))
        .def("unlock", &view::unlock)
        // Not in Python: between the beginning of a function there and its first statement a signal's handler may
        // raise, and the block would stay locked.
        .def("__exit__",
             [](nb::handle self, const nb::args& exception) {
                 auto& ending = nb::cast<view&>(self);
                 const bool ends = ending.locked();
                 ending.unlock();
                 // The traceback of an exception keeps the arrays of its frames alive, and it is what the user must
                 // see.
                 if (ends && ending.users() > 0 && exception.size() > 0 && exception[0].is_none()) {
                     self.attr("_refuse_users")();
                 }
             })
        .def_prop_ro("locked", &view::locked)
        .def_prop_ro("writes", &view::writes)
        .def_prop_ro("address", &view::address)
        .def_prop_ro("size", &view::size)
        .def_prop_ro("users", &view::users);
    module.def("held_locks", &view::held);

    // The same for classes that are Python's: these become methods of them.
    const auto add_method = [&](const char* name, nb::object function) {
        module.attr(name) = nb::steal(PyInstanceMethod_New(function.ptr()));
    };
    // Ends what `holds` by its method `ends`, and then calls that of the object itself, for classes derived from it.
    const auto add_exit = [&](const char* name, const char* holds, const char* ends) {
        add_method(name, nb::cpp_function([holds, ends](nb::handle self, const nb::args&) {
                       self.attr(holds).attr(ends)();
                       self.attr(ends)();
                   }));
    };
    add_exit("close_at_exit", "_block", "close");
    add_exit("close_pool_at_exit", "_pool", "close");
    add_exit("free_ring_at_exit", "_ring", "free");
    add_method("unlock_at_exit", nb::cpp_function([](nb::handle self, const nb::args&) {
                   const nb::object ending = self.attr("_view");
                   self.attr("_view") = nb::none();
                   if (!ending.is_none()) {
                       ending.attr("__exit__")(nb::none(), nb::none(), nb::none());
                   }
               }));
}

} // namespace vcsm::python
