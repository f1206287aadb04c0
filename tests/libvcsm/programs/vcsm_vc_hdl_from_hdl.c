#include "check.h"

int main(void) {
    unsigned int handle;
    unsigned int other;
    unsigned int given;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(100, "b");
    other = vcsm_malloc(100, "other");
    given = videocore_handle_of(handle);
    CHECK(videocore_handle_of(handle) == given);
    if (board()->knows_videocore) {
        CHECK(videocore_handle_of(other) != given);
        CHECK(videocore_sees_byte(given, 0, 0));
    } else {
        FAILS_WITH(ENOTSUP, vcsm_vc_hdl_from_hdl(handle) == 0);
        FAILS_WITH(ENOTSUP, vcsm_vc_hdl_from_hdl(other) == 0);
    }
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_hdl(handle) == 0);
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_hdl(0) == 0);
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_hdl(123456) == 0);
    vcsm_exit();
    return failures != 0;
}
