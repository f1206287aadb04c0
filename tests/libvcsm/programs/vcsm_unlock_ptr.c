#include "check.h"

int main(void) {
    unsigned int handle;
    unsigned char* memory;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc_cache(300, VCSM_CACHE_TYPE_HOST, "b");
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memory[10] = 1;
    CHECK(vcsm_unlock_ptr(memory) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 10, 1));
    FAILS_WITH(EPERM, vcsm_unlock_ptr(memory) == -EPERM);
    CHECK(vcsm_lock(handle) != NULL);
    CHECK(vcsm_unlock_ptr(memory + 299) == 0); /* any address in it */
    FAILS_WITH(EINVAL, vcsm_unlock_ptr(memory - 1) == -EINVAL);
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_unlock_ptr(memory) == -EINVAL);
    FAILS_WITH(EINVAL, vcsm_unlock_ptr(NULL) == -EINVAL);
    vcsm_exit();
    return failures != 0;
}
