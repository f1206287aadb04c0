#include "check.h"

#include <fcntl.h>
#include <unistd.h>

int main(void) {
    int descriptor;
    REQUIRE(vcsm_init_ex(1, -1) == 0);
    CHECK(vcsm_malloc(100, "b") != 0);
    vcsm_exit();
    FAILS_WITH(EBADF, vcsm_init_ex(0, 1000000) == -1);
    descriptor = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(descriptor >= 0);
    FAILS_WITH(ENODEV, vcsm_init_ex(0, descriptor) == -1); /* no device of ours */
    FAILS_WITH(ENODEV, vcsm_malloc(100, "b") == 0);        /* so nothing was started */
    CHECK(close(descriptor) == 0);                         /* it is still the caller's */
    return failures != 0;
}
