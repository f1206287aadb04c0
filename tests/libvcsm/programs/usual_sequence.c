/* What nearly every program does, as it has been written since C89. */
#include "check.h"

int main(void) {
    static const char text[] = "what the GPU is to see";
    unsigned int handle;
    unsigned int videocore_handle;
    void* memory;
    char seen[sizeof text];

    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(sizeof text, "usual");
    REQUIRE(handle != 0);
    memory = vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memcpy(memory, text, sizeof text);
    CHECK(vcsm_unlock_ptr(memory) == 0);
    errno = 0;
    videocore_handle = vcsm_vc_hdl_from_hdl(handle);
    if (videocore_handle == 0) {
        CHECK(errno == ENOTSUP); /* a device that VideoCore does not know */
    } else {
        CHECK(vcsm_vc_addr_from_hdl(handle) != 0);
        CHECK(videocore_reads(videocore_handle, 0, seen, sizeof seen) == 0);
        CHECK(memcmp(seen, text, sizeof text) == 0);
    }
    vcsm_free(handle);
    vcsm_exit();
    return failures != 0;
}
