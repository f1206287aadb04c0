#include "check.h"

int main(void) {
    unsigned int mode;
    REQUIRE(vcsm_init() == 0);
    for (mode = 0; mode < 4; ++mode) {
        VCSM_CACHE_TYPE_T got = VCSM_CACHE_TYPE_NONE;
        unsigned int handle = vcsm_malloc_cache(100, (VCSM_CACHE_TYPE_T)mode, "cached");
        unsigned int pinned = vcsm_malloc_cache(100000, (VCSM_CACHE_TYPE_T)(mode | 0x80), "pinned");
        unsigned char* memory;
        REQUIRE(handle != 0 && pinned != 0);
        memory = (unsigned char*)vcsm_lock_cache(handle, (VCSM_CACHE_TYPE_T)mode, &got);
        REQUIRE(memory != NULL);
        CHECK(got == mode_given(mode)); /* asking for what it has changes nothing, so it tells what that is */
        memory[99] = 5;
        CHECK(vcsm_unlock_hdl(handle) == 0);
        CHECK(videocore_sees_byte(videocore_handle_of(handle), 99, 5));
    }
    FAILS_WITH(EINVAL, vcsm_malloc_cache(100, (VCSM_CACHE_TYPE_T)4, "b") == 0);
    FAILS_WITH(EINVAL, vcsm_malloc_cache(100, (VCSM_CACHE_TYPE_T)0x7fffffff, "b") == 0);
    FAILS_WITH(EINVAL, vcsm_malloc_cache(0, VCSM_CACHE_TYPE_HOST, "b") == 0);
    /* What is wanted up front, addresses among it, fails at once. */
    FAILS_WITH(ENOMEM, vcsm_malloc_cache(too_many_bytes(), (VCSM_CACHE_TYPE_T)0x80, "pinned") == 0);
    CHECK(vcsm_malloc_cache(100, (VCSM_CACHE_TYPE_T)0x80, "pinned") != 0);
    vcsm_exit();
    return failures != 0;
}
