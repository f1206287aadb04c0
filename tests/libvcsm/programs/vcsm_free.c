#include "check.h"

static unsigned int made(void) {
    const unsigned int handle = vcsm_malloc(100, "b");
    REQUIRE(handle != 0);
    return handle;
}

/* A block that VideoCore knew and that was freed: it is gone from VideoCore too. */
static void is_gone(unsigned int videocore_handle) {
    unsigned char byte;
    CHECK(!board()->knows_videocore || videocore_reads(videocore_handle, 0, &byte, 1) != 0);
}

int main(void) {
    const int keeps_memory = getenv("VCSM_POOL") != NULL && strcmp(getenv("VCSM_POOL"), "1") == 0;
    unsigned int handle;
    unsigned int videocore_handle;
    unsigned char* memory;
    REQUIRE(vcsm_init() == 0);
    handle = made();
    videocore_handle = videocore_handle_of(handle);
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    vcsm_free(handle); /* locked or not; what is locked goes to the driver in any case */
    FAILS_WITH(EINVAL, vcsm_usr_handle(memory) == 0);
    FAILS_WITH(EINVAL, vcsm_vc_hdl_from_hdl(handle) == 0);
    is_gone(videocore_handle);
    FAILS_WITH(EINVAL, (vcsm_free(handle), 1)); /* again: ignored */
    FAILS_WITH(EINVAL, (vcsm_free(0), 1));
    FAILS_WITH(EINVAL, (vcsm_free(0xffffffffU), 1));

    handle = made();
    videocore_handle = videocore_handle_of(handle);
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memory[99] = 1;
    CHECK(vcsm_unlock_hdl(handle) == 0);
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_lock(handle) == NULL);
    if (keeps_memory) { /* the next block has it, zero */
        handle = made();
        CHECK(vcsm_usr_address(handle) == memory);
        CHECK(videocore_handle_of(handle) == videocore_handle);
        CHECK(videocore_sees_byte(videocore_handle, 99, 0));
    } else {
        is_gone(videocore_handle);
    }
    vcsm_exit();
    is_gone(videocore_handle);
    return failures != 0;
}
