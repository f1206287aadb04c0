#include "check.h"

int main(void) {
    unsigned int handle;
    unsigned char* memory;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc_cache(300, VCSM_CACHE_TYPE_HOST, "b");
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memory[10] = 1;
    CHECK(vcsm_unlock_ptr_sp(memory, 0) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 10, 1));
    FAILS_WITH(EPERM, vcsm_unlock_ptr_sp(memory, 0) == -EPERM);
    CHECK(vcsm_lock(handle) != NULL);
    CHECK(vcsm_unlock_ptr_sp(memory + 299, 0) == 0); /* any address in it */
    FAILS_WITH(EINVAL, vcsm_unlock_ptr_sp(memory - 1, 0) == -EINVAL);
    /* Without the flush VideoCore sees nothing of it. */
    CHECK(vcsm_lock(handle) != NULL);
    memory[11] = 2;
    CHECK(vcsm_unlock_ptr_sp(memory, 1) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 11, 0));
    FAILS_WITH(EPERM, vcsm_unlock_ptr_sp(memory, 1) == -EPERM); /* but it is unlocked */
    /* The next lock is as any other. */
    CHECK(vcsm_lock(handle) != NULL);
    memory[12] = 3;
    CHECK(vcsm_unlock_ptr_sp(memory, 0) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 12, 3));
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_unlock_ptr_sp(memory, 0) == -EINVAL);
    FAILS_WITH(EINVAL, vcsm_unlock_ptr_sp(NULL, 0) == -EINVAL);
    vcsm_exit();
    return failures != 0;
}
