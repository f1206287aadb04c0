#include "check.h"

int main(void) {
    unsigned int handle;
    char* memory;
    int elsewhere;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(10000, "b");
    memory = (char*)vcsm_usr_address(handle);
    REQUIRE(memory != NULL);
    CHECK(vcsm_vc_hdl_from_ptr(memory) == vcsm_vc_hdl_from_hdl(handle));
    CHECK(vcsm_vc_hdl_from_ptr(memory + 9999) == vcsm_vc_hdl_from_hdl(handle));
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_ptr(memory - 1) == 0);
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_ptr(NULL) == 0);
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_ptr(&elsewhere) == 0);
    vcsm_exit();
    return failures != 0;
}
