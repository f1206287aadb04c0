#include "check.h"

int main(void) {
    unsigned int handle;
    unsigned int videocore_handle;
    void* memory;
    unsigned char byte;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(100, "b");
    videocore_handle = vcsm_vc_hdl_from_hdl(handle);
    memory = vcsm_lock(handle);
    REQUIRE(memory != NULL && videocore_handle != 0);
    vcsm_free(handle); /* locked or not */
    CHECK(vcsm_usr_handle(memory) == 0);
    CHECK(vcsm_vc_hdl_from_hdl(handle) == 0);
    if (getenv("VCSM_POOL") == NULL) {
        CHECK(videocore_reads(videocore_handle, 0, &byte, 1) != 0); /* it is gone from VideoCore too */
    }
    FAILS_WITH(EINVAL, (vcsm_free(handle), 1)); /* again: ignored */
    FAILS_WITH(EINVAL, (vcsm_free(0), 1));
    FAILS_WITH(EINVAL, (vcsm_free(0xffffffffU), 1));
    vcsm_exit();
    return failures != 0;
}
