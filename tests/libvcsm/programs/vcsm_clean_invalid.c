#include "check.h"

#include <stdint.h>

static struct vcsm_user_clean_invalid_s list;
static unsigned int handle;
static unsigned char* memory;

static int one(unsigned int cmd, unsigned int offset, unsigned int size) {
    memset(&list, 0, sizeof list);
    list.s[0].cmd = cmd;
    list.s[0].handle = handle;
    list.s[0].addr = (unsigned int)(uintptr_t)(memory + offset);
    list.s[0].size = size;
    return vcsm_clean_invalid(&list);
}

int main(void) {
    unsigned int videocore_handle;
    int lines;
    REQUIRE(vcsm_init() == 0);
    lines = board()->keeps_lines_apart;
    handle = vcsm_malloc_cache(4096, VCSM_CACHE_TYPE_HOST, "b");
    videocore_handle = videocore_handle_of(handle);
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);

    memory[0] = 1;
    memory[1000] = 2;
    CHECK(one(2, 0, 64) == 0); /* cleans the first line, and no other where lines are kept apart */
    CHECK(videocore_sees_byte(videocore_handle, 0, 1));
    CHECK(videocore_sees_byte(videocore_handle, 1000, lines ? 0 : 2));
    memory[0] = 3;
    memory[1001] = 4;
    CHECK(one(1, 0, 64) == 0); /* forgets what was written into the first line, or writes all of it back */
    CHECK(memory[0] == (lines ? 1 : 3) && memory[1000] == 2 && memory[1001] == 4);
    CHECK(videocore_sees_byte(videocore_handle, 0, lines ? 1 : 3));
    CHECK(videocore_sees_byte(videocore_handle, 1001, lines ? 0 : 4));
    CHECK(one(3, 1000, 1) == 0);
    CHECK(memory[1000] == 2 && videocore_sees_byte(videocore_handle, 1000, 2));
    memory[3000] = 5;
    CHECK(one(1, 0, (unsigned int)sysconf(_SC_PAGESIZE)) == 0); /* a whole block is forgotten everywhere */
    if (board()->knows_videocore) {                             /* elsewhere nobody is there to say what is so */
        CHECK(memory[3000] == 0 && memory[1000] == 2);
        CHECK(videocore_sees_byte(videocore_handle, 3000, 0));
    }

    /* It stops at the first 0. */
    memory[2000] = 4;
    memset(&list, 0, sizeof list);
    list.s[1].cmd = 2;
    list.s[1].handle = handle;
    list.s[1].addr = (unsigned int)(uintptr_t)memory;
    list.s[1].size = 4096;
    CHECK(vcsm_clean_invalid(&list) == 0);
    CHECK(videocore_sees_byte(videocore_handle, 2000, 0));

    /* A wrong one anywhere, and nothing is done. */
    list.s[0] = list.s[1];
    list.s[1].cmd = 4;
    FAILS_WITH(EINVAL, vcsm_clean_invalid(&list) == -EINVAL);
    CHECK(videocore_sees_byte(videocore_handle, 2000, 0));
    FAILS_WITH(EINVAL, one(2, 4000, 100000) == -EINVAL);
    FAILS_WITH(EINVAL, one(2, 4000, 0xffffffffU) == -EINVAL);
    FAILS_WITH(EINVAL, one(2, 100000, 1) == -EINVAL);
    FAILS_WITH(EINVAL, one(0x80000000U, 0, 1) == -EINVAL);
    FAILS_WITH(EINVAL, vcsm_clean_invalid(NULL) == -EINVAL);
    CHECK(memory[2000] == 4);
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(videocore_sees_byte(videocore_handle, 2000, 4));
    vcsm_free(handle);
    FAILS_WITH(EINVAL, one(2, 0, 64) == -EINVAL);
    vcsm_exit();
    return failures != 0;
}
