#include "check.h"

/* Rows: the mode before; columns: what is wanted. Where the device has no such mode, the one before stays. */
static const VCSM_CACHE_TYPE_T after[4][4] = {
    {VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST, VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST},
    {VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST, VCSM_CACHE_TYPE_HOST, VCSM_CACHE_TYPE_HOST},
    {VCSM_CACHE_TYPE_NONE, VCSM_CACHE_TYPE_HOST_AND_VC, VCSM_CACHE_TYPE_VC, VCSM_CACHE_TYPE_HOST_AND_VC},
    {VCSM_CACHE_TYPE_VC, VCSM_CACHE_TYPE_HOST_AND_VC, VCSM_CACHE_TYPE_VC, VCSM_CACHE_TYPE_HOST_AND_VC}};

static void cell(unsigned int asked_for, unsigned int wanted) {
    const VCSM_CACHE_TYPE_T before = mode_given(asked_for);
    const VCSM_CACHE_TYPE_T other = after[before][wanted];
    const VCSM_CACHE_TYPE_T expected = board()->has_mode[other] ? other : before;
    VCSM_CACHE_TYPE_T got = (VCSM_CACHE_TYPE_T)4;
    unsigned int handle = vcsm_malloc_cache(300, (VCSM_CACHE_TYPE_T)asked_for, "b");
    unsigned char* const first = (unsigned char*)vcsm_lock(handle);
    unsigned char* memory;
    REQUIRE(first != NULL);
    first[299] = 8;
    CHECK(vcsm_unlock_hdl(handle) == 0);
    memory = (unsigned char*)vcsm_lock_cache(handle, (VCSM_CACHE_TYPE_T)wanted, &got);
    REQUIRE(memory != NULL);
    if (got != expected) {
        (void)fprintf(stderr, "asked for in %u, had in %u, wanted %u: got %u, and not %u\n", asked_for,
                      (unsigned int)before, wanted, (unsigned int)got, (unsigned int)expected);
        ++failures;
    }
    CHECK(expected != before || memory == first); /* a block that keeps its mode stays where it is */
    CHECK(memory[299] == 8);                      /* and the content always stays */
    memory[298] = 6;
    CHECK(vcsm_usr_handle(memory) == handle);
    CHECK(vcsm_unlock_ptr(memory) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 298, 6));
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 299, 8));
    vcsm_free(handle);
}

/* The mode stays as it is, and the function says so. */
static void keeps_its_mode(unsigned int handle) {
    VCSM_CACHE_TYPE_T got = VCSM_CACHE_TYPE_VC;
    CHECK(vcsm_lock_cache(handle, VCSM_CACHE_TYPE_HOST, &got) != NULL);
    CHECK(got == mode_given(VCSM_CACHE_TYPE_NONE));
    CHECK(vcsm_unlock_hdl(handle) == 0);
}

int main(void) {
    VCSM_CACHE_TYPE_T got = VCSM_CACHE_TYPE_NONE;
    unsigned int handle;
    unsigned int asked_for;
    unsigned int wanted;
    int descriptor;
    REQUIRE(vcsm_init() == 0);
    for (asked_for = 0; asked_for < 4; ++asked_for) {
        for (wanted = 0; wanted < 4; ++wanted) {
            cell(asked_for, wanted);
        }
    }
    /* Once the VideoCore handle, the bus address or a descriptor was asked for, and while the block is locked. */
    handle = vcsm_malloc(300, "handle");
    (void)videocore_handle_of(handle);
    keeps_its_mode(handle);
    handle = vcsm_malloc(300, "address");
    CHECK((vcsm_vc_addr_from_hdl(handle) != 0) == board()->knows_videocore);
    keeps_its_mode(handle);
    if (board()->has_dmabufs) {
        handle = vcsm_malloc(300, "descriptor");
        descriptor = vcsm_export_dmabuf(handle);
        CHECK(descriptor >= 0);
        keeps_its_mode(handle);
        CHECK(close(descriptor) == 0);
    }
    handle = vcsm_malloc(300, "locked");
    CHECK(vcsm_lock(handle) != NULL);
    keeps_its_mode(handle);

    CHECK(vcsm_lock_cache(handle, VCSM_CACHE_TYPE_HOST, NULL) != NULL);
    FAILS_WITH(EINVAL, vcsm_lock_cache(handle, (VCSM_CACHE_TYPE_T)4, &got) == NULL);
    FAILS_WITH(EINVAL, vcsm_lock_cache(0, VCSM_CACHE_TYPE_HOST, &got) == NULL);
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_lock_cache(handle, VCSM_CACHE_TYPE_HOST, NULL) == NULL);
    vcsm_exit();
    return failures != 0;
}
