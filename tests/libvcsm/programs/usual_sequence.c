/* What nearly every program does, as it has been written since C89. */
#include "check.h"

int main(void) {
    static const char text[] = "what the GPU is to see";
    unsigned int handle;
    unsigned int videocore_handle;
    void* memory;

    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(sizeof text, "usual");
    REQUIRE(handle != 0);
    memory = vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memcpy(memory, text, sizeof text);
    CHECK(vcsm_unlock_ptr(memory) == 0);
    videocore_handle = videocore_handle_of(handle);
    CHECK(videocore_sees(videocore_handle, 0, text, sizeof text));
    CHECK((vcsm_vc_addr_from_hdl(handle) != 0) == (board()->knows_videocore != 0));
    vcsm_free(handle);
    vcsm_exit();
    return failures != 0;
}
