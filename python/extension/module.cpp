// vcsm._core: the library as Python calls it. Thin; the classes that users see are in Python, over this.
#include "block.hpp"
#include "pool.hpp"
#include "ring.hpp"
#include "service.hpp"
#include "view.hpp"
#include "without_gil.hpp"

#include <vcsm/vcsm.hpp>

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cerrno>
#include <exception>
#include <string>
#include <utility>

namespace vcsm::python {

namespace {

// The exceptions that Python knows; it hands them over when the package is imported, and they live as long as it.
enum class kind : unsigned char { error, out_of_memory, not_supported, no_block };
std::array<PyObject*, 4> exceptions{};

void set_exceptions(nb::handle error, nb::handle out_of_memory, nb::handle not_supported, nb::handle no_block) {
    exceptions = {error.inc_ref().ptr(), out_of_memory.inc_ref().ptr(), not_supported.inc_ref().ptr(),
                  no_block.inc_ref().ptr()};
}

kind kind_of_error(const error& refused) noexcept {
    if (dynamic_cast<const out_of_memory*>(&refused) != nullptr) {
        return kind::out_of_memory;
    }
    if (dynamic_cast<const not_supported*>(&refused) != nullptr) {
        return kind::not_supported;
    }
    return dynamic_cast<const no_block*>(&refused) != nullptr ? kind::no_block : kind::error;
}

void set_error(kind what, int number, const char* sentence) {
    const nb::handle type = exceptions[static_cast<std::size_t>(what)];
    const nb::object raised = type(number, nb::str(sentence));
    PyErr_SetObject(type.ptr(), raised.ptr());
}

void translate(const std::exception_ptr& thrown, void*) {
    try {
        std::rethrow_exception(thrown);
    } catch (const error& refused) {
        set_error(kind_of_error(refused), refused.code().value(), refused.what());
    } catch (const std::system_error& refused) {
        set_error(kind::error, refused.code().value(), refused.what());
    }
}

nb::list list_devices() {
    std::vector<device_info> found;
    {
        const without_gil others_run;
        found = devices();
    }
    nb::list listed;
    for (const device_info& one : found) {
        listed.append(nb::make_tuple(one.name, one.node, one.usable, one.why, one.chosen, one.videocore_handle,
                                     one.bus_address, one.dmabuf, one.host_cache, one.max_bytes));
    }
    return listed;
}

nb::list list_blocks() {
    std::vector<block_info> found;
    {
        const without_gil others_run;
        found = blocks();
    }
    nb::list listed;
    for (const block_info& one : found) {
        listed.append(nb::make_tuple(one.handle, one.name, one.device, one.size, one.capacity,
                                     std::string{to_string(one.cache)}, one.locks, one.videocore_handle,
                                     one.bus_address));
    }
    return listed;
}

void define_service(nb::module_& module) {
    using others_run = nb::call_guard<without_gil>;
    module.def(
        "use", [](const std::string& device) { use(device); }, nb::arg("device"), others_run{});
    module.def("devices", &list_devices);
    module.def("blocks", &list_blocks);
    module.def("version", [] { return std::string{version()}; });
    module.def(
        "pools", [] { return detail::service::instance().owners(); }, others_run{});
    module.def("service_running", &service_running, others_run{});
    module.def("stop_service", &stop_service, others_run{});
    module.def(
        "hold_service", [] { return detail::service::instance().hold(); }, others_run{});
    module.def(
        "let_go_of_service", [](std::uint64_t run) { detail::service::instance().let_go(run); }, nb::arg("run"),
        others_run{});
}

void read_as_videocore(std::uint32_t videocore_handle, std::size_t offset, nb::bytearray into) {
    const without_gil others_run;
    videocore::read(videocore_handle, offset, {static_cast<std::byte*>(into.data()), into.size()});
}

void write_as_videocore(std::uint32_t videocore_handle, std::size_t offset, nb::bytes from) {
    const without_gil others_run;
    videocore::write(videocore_handle, offset, {static_cast<const std::byte*>(from.data()), from.size()});
}

nb::list list_as_videocore() {
    std::vector<videocore::block_state> found;
    {
        const without_gil others_run;
        found = videocore::list();
    }
    nb::list listed;
    for (const videocore::block_state& one : found) {
        listed.append(nb::make_tuple(one.videocore_handle, one.name, one.bytes, one.capacity, one.bus_address,
                                     std::string{to_string(one.cache)}, one.locks, one.held, one.allocated));
    }
    return listed;
}

void define_videocore(nb::module_& module) {
    using others_run = nb::call_guard<without_gil>;
    module.def("videocore_read", &read_as_videocore, nb::arg("videocore_handle"), nb::arg("offset"), nb::arg("into"));
    module.def("videocore_write", &write_as_videocore, nb::arg("videocore_handle"), nb::arg("offset"), nb::arg("data"));
    module.def("videocore_hold", &videocore::hold, nb::arg("videocore_handle"), others_run{});
    module.def("videocore_release", &videocore::release, nb::arg("videocore_handle"), others_run{});
    module.def("videocore_list", &list_as_videocore);
    module.def("videocore_reset", &videocore::reset, others_run{});
}

} // namespace

} // namespace vcsm::python

NB_MODULE(_core, module) {
    using namespace vcsm::python;
    // Blocks may outlive the interpreter: the library frees them when the process exits.
    nb::set_leak_warnings(false);
    nb::register_exception_translator(&translate);
    module.def("set_exceptions", &set_exceptions, nb::arg("error"), nb::arg("out_of_memory"), nb::arg("not_supported"),
               nb::arg("no_block"));
    define_block(module);
    define_view(module);
    define_pool(module);
    define_ring(module);
    define_service(module);
    define_videocore(module);
}
