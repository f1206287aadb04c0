#include "pool.hpp"

#include "without_gil.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include <cstdint>
#include <utility>

namespace vcsm::python {

pool::pool(std::size_t size, std::string name, const std::string& cache, std::size_t alignment, std::size_t grow_by,
           std::optional<std::size_t> limit, std::optional<std::size_t> keep, bool whole_blocks, bool zero)
    : name_{std::move(name)} {
    pool_options options;
    options.cache = parse_cache_mode(cache);
    options.alignment = alignment;
    options.grow_by = grow_by;
    options.limit = limit.value_or(SIZE_MAX);
    options.keep = keep.value_or(SIZE_MAX);
    options.whole_blocks = whole_blocks;
    options.zero = zero;
    const without_gil others_run;
    pool_ = std::make_shared<vcsm::pool>(size, name_, options);
}

pool::~pool() {
    close();
}

void pool::close() noexcept {
    std::shared_ptr<vcsm::pool> ending = std::move(pool_);
    const without_gil others_run;
    ending.reset(); // goes with the last thread that is using it
}

std::shared_ptr<vcsm::pool> pool::open() const {
    if (pool_ == nullptr) {
        failure about;
        about.operation = "use pool \"" + name_ + '"';
        about.remedy = "it was closed: make a new one";
        throw no_block{std::move(about)};
    }
    return pool_;
}

std::unique_ptr<block> pool::allocate(std::size_t size, std::size_t alignment) const {
    const std::shared_ptr<vcsm::pool> from = open();
    shared_memory made;
    {
        const without_gil others_run;
        made = from->allocate(size, alignment);
    }
    return std::make_unique<block>(std::move(made));
}

std::size_t pool::trim() const {
    const std::shared_ptr<vcsm::pool> of = open();
    const without_gil others_run;
    return of->trim();
}

nb::tuple pool::statistics() const {
    const std::shared_ptr<vcsm::pool> of = open();
    pool_statistics found;
    {
        const without_gil others_run;
        found = of->statistics();
    }
    return nb::make_tuple(found.blocks, found.used, found.free, found.largest_free, found.peak, found.capacity,
                          found.allocations);
}

void define_pool(nb::module_& module) {
    nb::class_<pool>(module, "Pool")
        .def(nb::init<std::size_t, std::string, const std::string&, std::size_t, std::size_t,
                      std::optional<std::size_t>, std::optional<std::size_t>, bool, bool>(),
             nb::arg("size"), nb::arg("name"), nb::arg("cache"), nb::arg("alignment"), nb::arg("grow_by"),
             nb::arg("limit").none(), nb::arg("keep").none(), nb::arg("whole_blocks"), nb::arg("zero"))
        .def("allocate", &pool::allocate, nb::arg("size"), nb::arg("alignment"))
        .def("trim", &pool::trim)
        .def("statistics", &pool::statistics)
        .def("close", &pool::close)
        .def_prop_ro("closed", &pool::closed)
        .def_prop_ro("name", &pool::name);
}

} // namespace vcsm::python
