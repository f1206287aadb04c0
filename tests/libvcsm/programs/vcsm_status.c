#include "check.h"

#include <unistd.h>

/* What it prints on standard error, read back through a pipe. */
static char text[1 << 16];

static const char* printed(VCSM_STATUS_T status, int pid) {
    int ends[2];
    int kept = dup(2);
    size_t length = 0;
    ssize_t got;
    REQUIRE(kept >= 0 && pipe(ends) == 0);
    REQUIRE(dup2(ends[1], 2) == 2 && close(ends[1]) == 0);
    vcsm_status(status, pid);
    (void)fflush(stderr);
    REQUIRE(dup2(kept, 2) == 2 && close(kept) == 0);
    while ((got = read(ends[0], text + length, sizeof text - 1 - length)) > 0) {
        length += (size_t)got;
    }
    (void)close(ends[0]);
    text[length] = '\0';
    return text;
}

int main(void) {
    char address[32];
    unsigned int handle;
    REQUIRE(vcsm_init() == 0);
    CHECK(strstr(printed(VCSM_STATUS_HOST_WALK_PID_ALLOC, -1), "no blocks") != NULL);
    handle = vcsm_malloc(5000, "status-block");
    REQUIRE(handle != 0);
    CHECK(strstr(printed(VCSM_STATUS_HOST_WALK_PID_ALLOC, -1), "status-block") != NULL);
    CHECK(strstr(text, "5000") != NULL && strstr(text, board()->device) != NULL);
    CHECK(strstr(printed(VCSM_STATUS_HOST_WALK_PID_ALLOC, getpid()), "status-block") != NULL);
    CHECK(strstr(printed(VCSM_STATUS_VC_WALK_ALLOC, 0), "status-block") != NULL);
    (void)snprintf(address, sizeof address, "%p", vcsm_usr_address(handle));
    CHECK(strstr(printed(VCSM_STATUS_HOST_WALK_PID_MAP, -1), address) != NULL);
    CHECK(strstr(printed(VCSM_STATUS_HOST_WALK_MAP, 0), address) != NULL);
    CHECK(strstr(printed(VCSM_STATUS_VC_MAP_ALL, 0), address) != NULL);
    CHECK(strstr(text, "5000") != NULL);
    CHECK(strcmp(printed(VCSM_STATUS_NONE, 0), "") == 0);
    FAILS_WITH(EINVAL, (vcsm_status((VCSM_STATUS_T)6, 0), 1));
    FAILS_WITH(EINVAL, (vcsm_status((VCSM_STATUS_T)0x7fffffff, 0), 1));
    FAILS_WITH(ESRCH, (vcsm_status(VCSM_STATUS_HOST_WALK_PID_ALLOC, 0x7ffffff0), 1));
    FAILS_WITH(ESRCH, (vcsm_status(VCSM_STATUS_HOST_WALK_PID_MAP, -2), 1));
    vcsm_exit();
    return failures != 0;
}
