#include "check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
    unsigned int handle;
    unsigned char* memory;
    int descriptor;
    REQUIRE(vcsm_init_ex(1, -1) == 0);
    handle = vcsm_malloc(5000, "b");
    descriptor = vcsm_export_dmabuf(handle);
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
    FAILS_WITH(EINVAL, vcsm_export_dmabuf(handle) < 0);
    FAILS_WITH(EINVAL, vcsm_export_dmabuf(0) < 0);
    vcsm_exit();
    return failures != 0;
}
