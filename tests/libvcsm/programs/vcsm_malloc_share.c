#include "check.h"

int main(void) {
    unsigned int first;
    unsigned int second;
    unsigned char* memory;
    REQUIRE(vcsm_init() == 0);
    first = vcsm_malloc(100, "b");
    second = vcsm_malloc_share(first);
    REQUIRE(first != 0 && second != 0 && second != first);
    CHECK(videocore_handle_of(second) == videocore_handle_of(first));
    memory = (unsigned char*)vcsm_lock(first);
    REQUIRE(memory != NULL);
    memory[3] = 42;
    CHECK(vcsm_unlock_hdl(first) == 0);
    vcsm_free(first);
    memory = (unsigned char*)vcsm_lock(second);
    REQUIRE(memory != NULL);
    CHECK(memory[3] == 42);
    CHECK(vcsm_usr_handle(memory) == second);
    CHECK(vcsm_unlock_hdl(second) == 0);
    vcsm_free(second);
    FAILS_WITH(EINVAL, vcsm_malloc_share(second) == 0);
    FAILS_WITH(EINVAL, vcsm_malloc_share(0) == 0);
    vcsm_exit();
    return failures != 0;
}
