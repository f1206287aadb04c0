#include "check.h"

int main(void) {
    unsigned int handle;
    char* memory;
    REQUIRE(vcsm_init() == 0);
    handle = vcsm_malloc(5000, "b");
    memory = (char*)vcsm_usr_address(handle);
    REQUIRE(memory != NULL);
    CHECK(vcsm_usr_handle(memory) == handle);
    CHECK(vcsm_usr_handle(memory + 2500) == handle); /* in the middle */
    CHECK(vcsm_usr_handle(memory + 4999) == handle);
    FAILS_WITH(EINVAL, vcsm_usr_handle(memory + 1000000) == 0);
    FAILS_WITH(EINVAL, vcsm_usr_handle(NULL) == 0);
    vcsm_free(handle);
    FAILS_WITH(EINVAL, vcsm_usr_handle(memory) == 0);
    vcsm_exit();
    return failures != 0;
}
