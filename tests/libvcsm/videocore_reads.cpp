// VideoCore's eyes, for test programs in C.
#include <vcsm/videocore.hpp>

#include <exception>

extern "C" int videocore_reads(unsigned videocore_handle, unsigned offset, void* into, unsigned bytes);

extern "C" int videocore_reads(unsigned videocore_handle, unsigned offset, void* into, unsigned bytes) {
    try {
        vcsm::videocore::read(videocore_handle, offset, {static_cast<std::byte*>(into), bytes});
        return 0;
    } catch (const std::exception&) {
        return -1;
    }
}
