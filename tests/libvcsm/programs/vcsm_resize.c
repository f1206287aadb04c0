#include "check.h"

int main(void) {
    unsigned int handle;
    unsigned int shared;
    unsigned char* memory;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(5000, "b");
    shared = vcsm_malloc_share(handle);
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memory[4999] = 9;
    CHECK(vcsm_resize(handle, 100000) == -EBUSY); /* it is locked */
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(vcsm_resize(handle, 100000) == 0);
    memory = (unsigned char*)vcsm_lock(shared); /* resized for all handles */
    REQUIRE(memory != NULL);
    CHECK(memory[4999] == 9 && memory[5000] == 0 && memory[99999] == 0);
    CHECK(vcsm_unlock_hdl(shared) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 4999, 9));
    CHECK(videocore_handle_of(shared) == videocore_handle_of(handle));
    CHECK(vcsm_resize(handle, 0) == -EINVAL);
    CHECK(vcsm_resize(handle, too_many_bytes()) == -ENOMEM);
    memory = (unsigned char*)vcsm_lock(handle); /* the block stays usable */
    REQUIRE(memory != NULL);
    CHECK(memory[4999] == 9);
    memory[5000] = 2;
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 4999, 9));
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 5000, 2));
    CHECK(vcsm_resize(handle, 10) == 0);
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memory[9] = 4;
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 9, 4));
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_resize(handle, 10) == -EINVAL);
    CHECK(vcsm_resize(0, 10) == -EINVAL);
    vcsm_exit();
    return failures != 0;
}
