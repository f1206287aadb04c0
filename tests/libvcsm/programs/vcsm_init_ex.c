#include "check.h"

#include <fcntl.h>

/* On a device that the program opened itself. */
static void works_on(const char* node) {
    static const char text[] = "through a device of one's own";
    unsigned int handle;
    char* memory;
    int descriptor = open(node, O_RDWR | O_CLOEXEC);
    REQUIRE(descriptor >= 0);
    REQUIRE(vcsm_init_ex(0, descriptor) == 0);
    CHECK(close(descriptor) == 0); /* it was the program's, and is not needed any more */
    handle = vcsm_malloc(sizeof text, "own");
    REQUIRE(handle != 0);
    memory = (char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    memcpy(memory, text, sizeof text);
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(vcsm_resize(handle, 100000) == 0);
    memory = (char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);
    CHECK(memcmp(memory, text, sizeof text) == 0);
    CHECK(vcsm_unlock_ptr(memory) == 0);
    vcsm_free(handle);
    vcsm_exit();
    FAILS_WITH(ENODEV, vcsm_malloc(100, "b") == 0); /* one start, one stop */
}

int main(void) {
    int descriptor;
    unsigned int i;
    if (board()->has_dmabufs) {
        REQUIRE(vcsm_init_ex(1, -1) == 0);
        CHECK(vcsm_malloc(100, "b") != 0);
        vcsm_exit();
    } else {
        FAILS_WITH(ENOTSUP, vcsm_init_ex(1, -1) == -1);
        FAILS_WITH(ENODEV, vcsm_malloc(100, "b") == 0); /* nothing was started */
        REQUIRE(vcsm_init_ex(0, -1) == 0);
        FAILS_WITH(ENOTSUP, vcsm_init_ex(1, -1) == -1);
        CHECK(vcsm_malloc(100, "b") != 0); /* what ran goes on */
        vcsm_exit();
        FAILS_WITH(ENODEV, vcsm_malloc(100, "b") == 0); /* and counts one start */
    }
    FAILS_WITH(EBADF, vcsm_init_ex(0, 1000000) == -1);
    descriptor = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(descriptor >= 0);
    FAILS_WITH(ENODEV, vcsm_init_ex(0, descriptor) == -1); /* no device of ours */
    FAILS_WITH(ENODEV, vcsm_malloc(100, "b") == 0);        /* so nothing was started */
    CHECK(close(descriptor) == 0);                         /* it is still the caller's */
    for (i = 0; board()->node[i] != NULL; ++i) {
        works_on(board()->node[i]);
    }
    return failures != 0;
}
