#include "check.h"

#include <fcntl.h>
#include <unistd.h>

int main(void) {
    unsigned int handle;
    unsigned int imported;
    unsigned char* memory;
    int descriptor;
    int null;
    REQUIRE(vcsm_init_ex(1, -1) == 0);
    handle = vcsm_malloc(5000, "b");
    descriptor = vcsm_export_dmabuf(handle);
    REQUIRE(descriptor >= 0);
    /* One of our own: a second handle to it. */
    imported = vcsm_import_dmabuf(descriptor, "own");
    REQUIRE(imported != 0 && imported != handle);
    CHECK(vcsm_vc_hdl_from_hdl(imported) == vcsm_vc_hdl_from_hdl(handle));
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memory[1] = 6;
    CHECK(vcsm_unlock_hdl(handle) == 0);
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
    CHECK(close(descriptor) == 0); /* it is still the caller's */

    FAILS_WITH(EBADF, vcsm_import_dmabuf(-1, "b") == 0);
    FAILS_WITH(EINVAL, vcsm_import_dmabuf(descriptor, "closed") == 0 && (errno = errno == EBADF ? EINVAL : errno) != 0);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    FAILS_WITH(EINVAL, vcsm_import_dmabuf(null, "no dma-buf") == 0);
    vcsm_exit();
    FAILS_WITH(ENODEV, vcsm_import_dmabuf(null, "b") == 0);
    return failures != 0;
}
