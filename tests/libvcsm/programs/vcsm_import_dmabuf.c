#include "check.h"

#include <fcntl.h>

static void imports(VCSM_CACHE_TYPE_T cache) {
    unsigned int handle = vcsm_malloc_cache(5000, cache, "b");
    unsigned int imported;
    unsigned char* memory;
    const int descriptor = vcsm_export_dmabuf(handle);
    REQUIRE(descriptor >= 0);
    /* One of our own: a second handle to it. */
    imported = vcsm_import_dmabuf(descriptor, "own");
    REQUIRE(imported != 0 && imported != handle);
    CHECK(videocore_handle_of(imported) == videocore_handle_of(handle));
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memory[1] = 6;
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(imported), 1, 6));
    vcsm_free(handle);
    /* And once it is none of our own any more: a block with the same memory. */
    memory = (unsigned char*)vcsm_lock(imported);
    REQUIRE(memory != NULL);
    CHECK(memory[1] == 6);
    vcsm_free(imported);
    imported = vcsm_import_dmabuf(descriptor, NULL);
    REQUIRE(imported != 0);
    memory = (unsigned char*)vcsm_lock(imported);
    REQUIRE(memory != NULL);
    CHECK(memory[1] == 6);
    memory[2] = 7;
    CHECK(vcsm_unlock_hdl(imported) == 0);
    if (cache == VCSM_CACHE_TYPE_HOST) { /* what a driver made itself it does not take back */
        CHECK(videocore_sees_byte(videocore_handle_of(imported), 2, 7));
    }
    CHECK(close(descriptor) == 0); /* it is still the caller's */
    FAILS_WITH(EBADF, vcsm_import_dmabuf(descriptor, "closed") == 0);
}

int main(void) {
    int null;
    REQUIRE(vcsm_init_ex(board()->has_dmabufs, -1) == 0);
    if (board()->has_dmabufs) {
        imports(VCSM_CACHE_TYPE_NONE);
        imports(VCSM_CACHE_TYPE_HOST);
    }
    FAILS_WITH(EBADF, vcsm_import_dmabuf(-1, "b") == 0);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(null >= 0);
    FAILS_WITH(board()->has_dmabufs ? EINVAL : ENOTSUP, vcsm_import_dmabuf(null, "no dma-buf") == 0);
    vcsm_exit();
    FAILS_WITH(ENODEV, vcsm_import_dmabuf(null, "b") == 0);
    CHECK(close(null) == 0);
    return failures != 0;
}
