#include "check.h"

int main(void) {
    unsigned int handle;
    unsigned int other;
    unsigned int given;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(100, "b");
    other = vcsm_malloc(100, "other");
    if (board()->knows_videocore) {
        given = vcsm_vc_addr_from_hdl(handle);
        CHECK(given != 0 && given % 4096 == 0);
        CHECK(vcsm_vc_addr_from_hdl(handle) == given);
        CHECK(vcsm_vc_addr_from_hdl(other) != 0 && vcsm_vc_addr_from_hdl(other) != given);
    } else {
        FAILS_WITH(ENOTSUP, vcsm_vc_addr_from_hdl(handle) == 0);
        FAILS_WITH(ENOTSUP, vcsm_vc_addr_from_hdl(other) == 0);
    }
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_vc_addr_from_hdl(handle) == 0);
    FAILS_WITH(EINVAL, vcsm_vc_addr_from_hdl(0) == 0);
    vcsm_exit();
    return failures != 0;
}
