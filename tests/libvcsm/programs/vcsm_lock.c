#include "check.h"

int main(void) {
    unsigned int handle;
    unsigned char* memory;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc_cache(300, VCSM_CACHE_TYPE_HOST, "b");
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    CHECK(vcsm_lock(handle) == memory); /* counts */
    memory[200] = 1;
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 200, 0));
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 200, 1));
    FAILS_WITH(EPERM, vcsm_unlock_hdl(handle) == -EPERM);
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_lock(handle) == NULL);
    FAILS_WITH(EINVAL, vcsm_lock(0) == NULL);
    vcsm_exit();
    return failures != 0;
}
