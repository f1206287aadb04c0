/* vcsm_init_ex() on devices that the program opened itself: opened_device NODE... */
#include "check.h"

#include <fcntl.h>
#include <unistd.h>

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
    CHECK(vcsm_malloc(100, "b") == 0); /* one start, one stop */
}

int main(int count, char** nodes) {
    int i;
    REQUIRE(count > 1);
    for (i = 1; i < count; ++i) {
        works_on(nodes[i]);
    }
    return failures != 0;
}
