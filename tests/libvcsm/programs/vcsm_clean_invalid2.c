#include "check.h"

static struct vcsm_user_clean_invalid2_s* list;
static unsigned int handle;
static unsigned char* memory;

static void entry(unsigned int at, unsigned int mode, unsigned int count, void* start, unsigned int size,
                  unsigned int stride) {
    list->s[at].invalidate_mode = (unsigned short)mode;
    list->s[at].block_count = (unsigned short)count;
    list->s[at].start_address = start;
    list->s[at].block_size = size;
    list->s[at].inter_block_stride = stride;
}

static int one(unsigned int mode, unsigned int count, void* start, unsigned int size, unsigned int stride) {
    list->op_count = 1;
    entry(0, mode, count, start, size, stride);
    return vcsm_clean_invalid2(list);
}

int main(void) {
    static unsigned char expected[4096];
    unsigned int videocore_handle;
    unsigned int i;
    int lines;
    const long page = sysconf(_SC_PAGESIZE); /* a block has whole pages */
    list = (struct vcsm_user_clean_invalid2_s*)calloc(1, sizeof *list + 255 * sizeof list->s[0]);
    REQUIRE(list != NULL && vcsm_init() == 0);
    lines = board()->keeps_lines_apart;
    handle = vcsm_malloc_cache(4096, VCSM_CACHE_TYPE_HOST, "b");
    videocore_handle = videocore_handle_of(handle);
    memory = (unsigned char*)vcsm_lock(handle);
    REQUIRE(memory != NULL);

    /* 4 lines of 64 bytes, 512 bytes apart; or the whole block */
    memset(memory, 1, 4096);
    CHECK(one(2, 4, memory, 64, 512) == 0);
    for (i = 0; i < 4096; ++i) {
        expected[i] = !lines || (i % 512 < 64 && i < 2048);
    }
    CHECK(videocore_sees(videocore_handle, 0, expected, 4096));
    /* The CPU forgets two of them; or all is written back. */
    memset(memory, 2, 4096);
    CHECK(one(1, 2, memory, 64, 512) == 0);
    CHECK(memory[0] == (lines ? 1 : 2) && memory[512] == (lines ? 1 : 2) && memory[64] == 2 && memory[1024] == 2);
    memset(expected, 2, lines ? 0 : 4096);
    CHECK(videocore_sees(videocore_handle, 0, expected, 4096));

    /* A mode of 0 leaves out its entry alone; 255 entries. */
    memory[3900] = 3;
    memory[4000] = 4;
    for (i = 0; i < 255; ++i) {
        entry(i, i == 254 ? 2 : 0, 1, i == 254 ? memory + 4000 : NULL, i == 254 ? 1 : 0, 0);
    }
    list->op_count = 255;
    CHECK(vcsm_clean_invalid2(list) == 0);
    CHECK(videocore_sees_byte(videocore_handle, 4000, 4));
    CHECK(videocore_sees_byte(videocore_handle, 3900, lines ? 0 : 3));
    memory[3900] = 5;
    list->op_count = 0;
    CHECK(vcsm_clean_invalid2(list) == 0);
    CHECK(videocore_sees_byte(videocore_handle, 3900, lines ? 0 : 3));

    /* A wrong one anywhere, and nothing is done. */
    list->op_count = 2;
    entry(0, 2, 1, memory, 4096, 0);
    entry(1, 4, 1, memory, 64, 0);
    FAILS_WITH(EINVAL, vcsm_clean_invalid2(list) == -EINVAL);
    CHECK(videocore_sees_byte(videocore_handle, 3900, lines ? 0 : 3));
    FAILS_WITH(EINVAL, one(2, 1, memory, 0, 0) == -EINVAL);
    /* the last begins at the block's end */
    FAILS_WITH(EINVAL, one(2, (unsigned short)(page / 512 + 1), memory, 64, 512) == -EINVAL);
    FAILS_WITH(EINVAL, one(2, 0xffff, memory, 64, 0xffffffffU) == -EINVAL);
    FAILS_WITH(EINVAL, one(2, 1, memory + page - 1, 2, 0) == -EINVAL);
    FAILS_WITH(EINVAL, one(2, 1, NULL, 64, 0) == -EINVAL);
    FAILS_WITH(EINVAL, vcsm_clean_invalid2(NULL) == -EINVAL);
    CHECK(one(3, 0xffff, memory, 64, 0) == 0); /* the same one, again and again */
    CHECK(memory[3900] == 5);
    CHECK(vcsm_unlock_hdl(handle) == 0);
    CHECK(videocore_sees_byte(videocore_handle, 3900, 5));
    vcsm_exit();
    FAILS_WITH(EINVAL, one(2, 1, memory, 64, 0) == -EINVAL);
    free(list);
    return failures != 0;
}
