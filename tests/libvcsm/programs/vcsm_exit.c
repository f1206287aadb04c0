#include "check.h"

int main(void) {
    unsigned int handle;
    char* memory;
    vcsm_exit(); /* too early: nothing happens */
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(100, "b");
    memory = (char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    vcsm_exit();
    /* Handles and addresses from before are dead, and harmless. */
    FAILS_WITH(EINVAL, vcsm_lock(handle) == NULL);
    FAILS_WITH(EINVAL, vcsm_usr_handle(memory) == 0);
    CHECK(vcsm_unlock_hdl(handle) == -EINVAL);
    CHECK(vcsm_unlock_ptr(memory) == -EINVAL);
    FAILS_WITH(ENODEV, vcsm_malloc(100, "after") == 0);
    vcsm_free(handle);
    vcsm_exit();
    vcsm_exit();
    REQUIRE(vcsm_init() == 0);
    CHECK(vcsm_usr_address(handle) == NULL); /* not in the next run either */
    CHECK(vcsm_malloc(100, "b") != handle);
    vcsm_exit();
    return failures != 0;
}
