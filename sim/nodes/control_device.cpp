// ioctl: whose is it?
#include "nodes/vcsm_legacy.hpp"
#include "simulation.hpp"

#include <cerrno>

namespace vcsm::sim {

answer control_device(simulation& all, const request& asked) {
    const int descriptor = asked.descriptor(0);
    const auto status = asked.who.look_at(descriptor);
    if (!status) {
        return answer::pass();
    }
    const file_key key = key_of(*status);
    if (const entry* const device = all.nodes.find(key)) {
        all.trace.call("ioctl(" + std::to_string(descriptor) + ", " + hexadecimal(asked.word(1)) + ")");
        switch (device->node) {
        case node::vcsm_cma:
            return vcsm_cma_ioctl(all, asked);
        case node::heap:
            return heap_ioctl(all, asked, *device);
        case node::udmabuf:
            return udmabuf_ioctl(all, asked);
        case node::vcio:
            return vcio_ioctl(all, asked);
        default:
            return answer::pass();
        }
    }
    if (!all.lifetimes.knows(key)) {
        return answer::pass();
    }
    if (const auto which = all.buffers.find(asked.who, descriptor, *status)) {
        which->exec_closes = 0; // the exec that was to close it has failed
        return dma_buf_ioctl(all, asked, which);
    }
    if (all.legacy) {
        if (const auto result = all.legacy->control(asked, descriptor, *status)) {
            return *result;
        }
    }
    return answer::pass();
}

} // namespace vcsm::sim
