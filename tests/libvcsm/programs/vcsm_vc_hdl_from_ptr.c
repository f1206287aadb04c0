#include "check.h"

int main(void) {
    unsigned int handle;
    unsigned int given;
    char* memory;
    int elsewhere;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(10000, "b");
    given = videocore_handle_of(handle);
    memory = (char*)vcsm_usr_address(handle);
    REQUIRE(memory != NULL);
    if (board()->knows_videocore) {
        CHECK(vcsm_vc_hdl_from_ptr(memory) == given);
        CHECK(vcsm_vc_hdl_from_ptr(memory + 9999) == given);
    } else {
        FAILS_WITH(ENOTSUP, vcsm_vc_hdl_from_ptr(memory) == 0);
        FAILS_WITH(ENOTSUP, vcsm_vc_hdl_from_ptr(memory + 9999) == 0);
    }
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_ptr(memory - 1) == 0);
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_ptr(NULL) == 0);
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_ptr(&elsewhere) == 0);
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_ptr(memory) == 0);
    vcsm_exit();
    return failures != 0;
}
