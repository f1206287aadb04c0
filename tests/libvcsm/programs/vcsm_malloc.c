#include "check.h"

int main(void) {
    unsigned int first;
    unsigned int second;
    unsigned char* memory;
    unsigned int i;
    REQUIRE(vcsm_init() == 0);
    first = vcsm_malloc(5000, "first");
    second = vcsm_malloc(1, NULL);
    CHECK(first != 0 && second != 0 && first != second);
    memory = (unsigned char*)vcsm_lock(first);
    REQUIRE(memory != NULL);
    for (i = 0; i < 5000; ++i) {
        CHECK(memory[i] == 0);
    }
    memory[4999] = 7;
    CHECK(vcsm_unlock_hdl(first) == 0);
    CHECK(videocore_sees_byte(videocore_handle_of(first), 4999, 7));
    FAILS_WITH(EINVAL, vcsm_malloc(0, "empty") == 0);
    if (!board()->gives_machines_memory) {
        FAILS_WITH(ENOMEM, vcsm_malloc(0xffffffffU, "all there is") == 0);
        FAILS_WITH(ENOMEM, vcsm_malloc(too_many_bytes(), "more than there is") == 0);
    } else { /* memory there is, but no room for its addresses, which the first lock wants */
        const unsigned int unseen = vcsm_malloc(too_many_bytes(), "more than can be seen");
        REQUIRE(unseen != 0);
        FAILS_WITH(ENOMEM, vcsm_lock(unseen) == NULL);
        FAILS_WITH(ENOMEM, vcsm_usr_address(unseen) == NULL);
        FAILS_WITH(EPERM, vcsm_unlock_hdl(unseen) == -EPERM);
        vcsm_free(unseen);
        FAILS_WITH(EINVAL, vcsm_lock(unseen) == NULL);
    }
    CHECK(vcsm_malloc(100, "b") != 0); /* what there is room for */
    vcsm_exit();
    return failures != 0;
}
