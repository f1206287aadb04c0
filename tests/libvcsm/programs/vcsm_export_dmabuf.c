#include "check.h"

#include <fcntl.h>
#include <sys/mman.h>

static void exports(unsigned int handle) {
    unsigned char* memory;
    const int descriptor = vcsm_export_dmabuf(handle);
    REQUIRE(descriptor >= 0);
    CHECK((fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memory[4999] = 3;
    CHECK(vcsm_unlock_hdl(handle) == 0);
    vcsm_free(handle);
    /* The memory lives until the descriptor is closed. */
    memory = (unsigned char*)mmap(NULL, 5000, PROT_READ, MAP_SHARED, descriptor, 0);
    REQUIRE(memory != MAP_FAILED);
    CHECK(memory[4999] == 3);
    CHECK(munmap(memory, 5000) == 0);
    CHECK(close(descriptor) == 0);
}

static void refuses(unsigned int handle) {
    unsigned char* memory;
    FAILS_WITH(ENOTSUP, vcsm_export_dmabuf(handle) == -ENOTSUP);
    memory = (unsigned char*)vcsm_lock(handle); /* the block is as it was */
    REQUIRE(memory != NULL);
    memory[4999] = 3;
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(handle), 4999, 3));
    vcsm_free(handle);
}

int main(void) {
    unsigned int handle;
    REQUIRE(vcsm_init_ex(board()->has_dmabufs, -1) == 0);
    handle = vcsm_malloc(5000, "b");
    REQUIRE(handle != 0);
    if (board()->has_dmabufs) {
        exports(handle);
    } else {
        refuses(handle);
    }
    FAILS_WITH(EINVAL, vcsm_export_dmabuf(handle) == -EINVAL);
    FAILS_WITH(EINVAL, vcsm_export_dmabuf(0) == -EINVAL);
    vcsm_exit();
    return failures != 0;
}
