#include "check.h"

int main(void) {
    unsigned int handle;
    FAILS_WITH(ENODEV, vcsm_malloc(100, "before") == 0);
    REQUIRE(vcsm_init() == 0);
    REQUIRE(vcsm_init() == 0); /* counts */
    handle = vcsm_malloc(100, "b");
    REQUIRE(handle != 0);
    vcsm_exit();
    CHECK(vcsm_usr_address(handle) != NULL);
    vcsm_exit();
    CHECK(vcsm_usr_address(handle) == NULL);
    REQUIRE(vcsm_init() == 0); /* again */
    CHECK(vcsm_malloc(100, "again") != 0);
    vcsm_exit();
    return failures != 0;
}
