#include "check.h"

int main(void) {
    unsigned int handle;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(5000, "b");
    CHECK(vcsm_usr_address(handle) != NULL);
    CHECK(vcsm_usr_address(handle) == vcsm_lock(handle));
    CHECK(vcsm_usr_address(handle) == vcsm_lock(handle));
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_usr_address(handle) == NULL);
    FAILS_WITH(EINVAL, vcsm_usr_address(0) == NULL);
    FAILS_WITH(EINVAL, vcsm_usr_address(0xffffffffU) == NULL);
    vcsm_exit();
    return failures != 0;
}
