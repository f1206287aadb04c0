#include "block.hpp"

#include "buffers.hpp"
#include "service.hpp"
#include "without_gil.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

namespace vcsm::python {

namespace {

// Copies of up to this many bytes keep the GIL: giving it up and taking it back would cost more than they do.
constexpr std::size_t quick_copy_bytes = 16384;

// What `memory` holds, for as long as `memory` is held. Throws vcsm::no_block. Asks for no handle, for a block of a
// pool has none until somebody does, and is given back faster without.
detail::block& below(const shared_memory& memory) {
    return detail::inside::of(memory)->get();
}

std::shared_ptr<shared_memory> made(std::size_t size, std::string_view name, const block_options& options) {
    const without_gil others_run;
    return std::make_shared<shared_memory>(size, name, options);
}

} // namespace

block::block(std::size_t size, std::string name, const std::string& cache, std::size_t alignment)
    : name_{std::move(name)}, memory_{made(size, name_, {parse_cache_mode(cache), alignment})} {
    learn_from_memory();
}

block::block(shared_memory&& made) : block{std::make_shared<shared_memory>(std::move(made)), owner::itself} {}

block::block(std::shared_ptr<shared_memory> memory, owner whose)
    : name_{memory->name()}, memory_{std::move(memory)}, whose_{whose} {
    learn_from_memory();
}

void block::learn_from_memory() {
    locks_at_once_ = below(*memory_).memory()->locks_at_once();
}

block::~block() {
    let_go();
}

std::unique_ptr<block> block::from_dmabuf(int descriptor, std::string name, std::size_t size) {
    shared_memory imported;
    {
        const without_gil others_run;
        imported = shared_memory::from_dmabuf(descriptor, name, size);
    }
    return std::make_unique<block>(std::move(imported));
}

std::unique_ptr<block> block::share() const {
    return std::make_unique<block>(memory()->share());
}

std::shared_ptr<shared_memory> block::memory() const {
    if (memory_ == nullptr) {
        failure about;
        about.operation = "use";
        about.block = name_;
        about.remedy = "it was closed: make a new one";
        throw no_block{std::move(about)};
    }
    return memory_;
}

void block::close() {
    if (whose_ == owner::ring && !closed()) {
        failure about;
        about.operation = "free";
        about.block = name_;
        about.remedy = "it is its ring's, which goes on with it: submit() or release() it, or free the ring";
        throw error{EBUSY, std::move(about)};
    }
    let_go();
}

void block::let_go() noexcept {
    if (memory_ == nullptr) {
        return;
    }
    std::shared_ptr<shared_memory> ending = std::move(memory_);
    const without_gil others_run;
    // Another thread may be copying, and keeps the object: so the handle is freed, and the object just let go of. A
    // pool's block without a handle is nobody else's, and goes back with its object.
    const detail::reference& held = *detail::inside::of(*ending);
    if (whose_ == owner::itself && held.handle() != 0 && held.alive()) {
        detail::service::instance().free(held.handle());
    }
    ending.reset();
}

block::locked block::lock(detail::access_kind kind) const {
    const std::shared_ptr<shared_memory> memory = this->memory();
    const without_gil others_run;
    detail::place where = below(*memory).place();
    detail::held_lock lock{where.memory, kind};
    return {std::move(lock), std::move(where.memory), where.bytes.data(), where.bytes.size()};
}

void block::copy_from(nb::handle object, std::size_t offset) const {
    const std::shared_ptr<shared_memory> memory = this->memory();
    const elements source{object, elements::use::read};
    const auto copy = [&] {
        if (source.packed()) {
            memory->copy_from(std::span{source.first(), source.bytes()}, offset);
        } else {
            auto view = memory->lock(access::write, offset, source.bytes());
            source.gather(view.data());
            view.unlock();
        }
    };
    if (source.bytes() <= quick_copy_bytes && locks_at_once_) {
        copy();
    } else {
        const without_gil others_run;
        copy();
    }
}

void block::copy_from_address(std::uintptr_t source, std::size_t bytes, std::size_t offset) const {
    const std::shared_ptr<shared_memory> memory = this->memory();
    const without_gil others_run;
    memory->copy_from(std::span{reinterpret_cast<const std::byte*>(source), bytes}, offset);
}

void block::copy_to(nb::handle object, std::size_t offset) const {
    const std::shared_ptr<shared_memory> memory = this->memory();
    const elements target{object, elements::use::write};
    const auto copy = [&] {
        if (target.packed()) {
            memory->copy_to(std::span{target.first(), target.bytes()}, offset);
        } else {
            auto view = memory->lock(access::read, offset, target.bytes());
            target.scatter(view.data());
            view.unlock();
        }
    };
    if (target.bytes() <= quick_copy_bytes && locks_at_once_) {
        copy();
    } else {
        const without_gil others_run;
        copy();
    }
}

nb::bytes block::to_bytes(std::size_t offset) const {
    const std::shared_ptr<shared_memory> memory = this->memory();
    const std::size_t size = memory->size();
    const std::size_t bytes = offset < size ? size - offset : 0;
    PyObject* const filled = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bytes));
    if (filled == nullptr) {
        throw nb::python_error{};
    }
    nb::bytes result = nb::steal<nb::bytes>(filled);
    auto* const first = reinterpret_cast<std::byte*>(PyBytes_AS_STRING(filled));
    const without_gil others_run;
    memory->copy_to(std::span{first, bytes}, offset); // nobody else has seen these bytes yet
    return result;
}

void block::resize(std::size_t size) const {
    const std::shared_ptr<shared_memory> memory = this->memory();
    const without_gil others_run;
    memory->resize(size);
}

namespace {

// A getter that asks the device: without the GIL.
template <class Result, Result (shared_memory::*Ask)() const>
Result asked(const block& which) {
    const std::shared_ptr<shared_memory> memory = which.memory();
    const without_gil others_run;
    return ((*memory).*Ask)();
}

} // namespace

void define_block(nb::module_& module) {
    nb::class_<block>(module, "Block")
        .def(nb::init<std::size_t, std::string, const std::string&, std::size_t>(), nb::arg("size"), nb::arg("name"),
             nb::arg("cache"), nb::arg("alignment"))
        .def_static("from_dmabuf", &block::from_dmabuf, nb::arg("descriptor"), nb::arg("name"), nb::arg("size"))
        .def("share", &block::share)
        .def("close", &block::close)
        .def("resize", &block::resize, nb::arg("size"))
        .def("copy_from", &block::copy_from, nb::arg("source").none(), nb::arg("offset"))
        .def("copy_from_address", &block::copy_from_address, nb::arg("source"), nb::arg("bytes"), nb::arg("offset"))
        .def("copy_to", &block::copy_to, nb::arg("target").none(), nb::arg("offset"))
        .def("to_bytes", &block::to_bytes, nb::arg("offset"))
        .def("export_dmabuf", &asked<int, &shared_memory::export_dmabuf>)
        .def_prop_ro("closed", &block::closed)
        .def_prop_ro("size", [](const block& which) { return which.memory()->size(); })
        .def_prop_ro("capacity", [](const block& which) { return which.memory()->capacity(); })
        .def_prop_ro("name", [](const block& which) { return which.name(); })
        .def_prop_ro("device", [](const block& which) { return std::string{which.memory()->device()}; })
        .def_prop_ro("granted_cache",
                     [](const block& which) { return std::string{to_string(which.memory()->granted_cache())}; })
        .def_prop_ro("handle", [](const block& which) { return which.memory()->handle(); })
        .def_prop_ro("videocore_handle", &asked<std::uint32_t, &shared_memory::videocore_handle>)
        .def_prop_ro("bus_address", &asked<std::uint64_t, &shared_memory::bus_address>)
        .def_prop_ro("dmabuf", &asked<int, &shared_memory::dmabuf>)
        .def("location",
             [](const block& which) {
                 const auto [handle, offset] = asked<location, &shared_memory::location>(which);
                 return nb::make_tuple(handle, offset);
             })
        .def("dmabuf_location", [](const block& which) {
            const auto [descriptor, offset] = asked<dmabuf_place, &shared_memory::dmabuf_location>(which);
            return nb::make_tuple(descriptor, offset);
        });
}

} // namespace vcsm::python
