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
    CHECK(vc_byte(vcsm_vc_hdl_from_hdl(first), 4999) == 7);
    FAILS_WITH(EINVAL, vcsm_malloc(0, "empty") == 0);
    FAILS_WITH(ENOMEM, vcsm_malloc(0xffffffffU, "all there is") == 0);
    FAILS_WITH(ENOMEM, vcsm_malloc(0x70000000U, "more than there is") == 0);
    vcsm_exit();
    return failures != 0;
}
