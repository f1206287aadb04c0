#include "check.h"

/* Rows: the mode before; columns: what is wanted. */
static const VCSM_CACHE_TYPE_T after[4][4] = {
    {VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST, VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST},
    {VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST, VCSM_CACHE_TYPE_HOST, VCSM_CACHE_TYPE_HOST},
    {VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST_AND_VC, VCSM_CACHE_TYPE_VC, VCSM_CACHE_TYPE_HOST_AND_VC},
    {VCSM_CACHE_TYPE_VC, VCSM_CACHE_TYPE_HOST_AND_VC, VCSM_CACHE_TYPE_VC, VCSM_CACHE_TYPE_HOST_AND_VC}};

static void cell(unsigned int before, unsigned int wanted) {
    VCSM_CACHE_TYPE_T got = VCSM_CACHE_TYPE_NONE;
    unsigned int handle = vcsm_malloc_cache(300, (VCSM_CACHE_TYPE_T)before, "b");
    unsigned char* memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memory[299] = 8;
    CHECK(vcsm_unlock_hdl(handle) == 0);
    memory = (unsigned char*)vcsm_lock_cache(handle, (VCSM_CACHE_TYPE_T)wanted, &got);
    REQUIRE(memory != NULL);
    if (got != after[before][wanted]) {
        (void)fprintf(stderr, "from %u, wanted %u: got %u, and not %u\n", before, wanted, (unsigned int)got,
                      (unsigned int)after[before][wanted]);
        ++failures;
    }
    CHECK(memory[299] == 8); /* the content stays */
    memory[298] = 6;
    CHECK(vcsm_usr_handle(memory) == handle);
    CHECK(vcsm_unlock_ptr(memory) == 0);
    CHECK(vc_byte(vcsm_vc_hdl_from_hdl(handle), 298) == 6);
    vcsm_free(handle);
}

int main(void) {
    VCSM_CACHE_TYPE_T got = VCSM_CACHE_TYPE_NONE;
    unsigned int handle;
    unsigned int before;
    unsigned int wanted;
    REQUIRE(vcsm_init() == 0);
    for (before = 0; before < 4; ++before) {
        for (wanted = 0; wanted < 4; ++wanted) {
            cell(before, wanted);
        }
    }
    /* Once the VideoCore handle was asked for, the mode stays, and the function says so. */
    handle = vcsm_malloc(300, "b");
    REQUIRE(vcsm_vc_hdl_from_hdl(handle) != 0);
    got = VCSM_CACHE_TYPE_VC;
    CHECK(vcsm_lock_cache(handle, VCSM_CACHE_TYPE_HOST, &got) != NULL);
    CHECK(got == VCSM_CACHE_TYPE_NONE);
    CHECK(vcsm_lock_cache(handle, VCSM_CACHE_TYPE_HOST, NULL) != NULL);
    FAILS_WITH(EINVAL, vcsm_lock_cache(handle, (VCSM_CACHE_TYPE_T)4, &got) == NULL);
    FAILS_WITH(EINVAL, vcsm_lock_cache(0, VCSM_CACHE_TYPE_HOST, &got) == NULL);
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_lock_cache(handle, VCSM_CACHE_TYPE_HOST, NULL) == NULL);
    vcsm_exit();
    return failures != 0;
}
