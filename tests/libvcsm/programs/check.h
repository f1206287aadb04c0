/* What the programs share: each tests one function, and ends with 1 if a check failed. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <interface/vcsm/user-vcsm.h>

static int failures = 0;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            (void)fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);            \
            ++failures;                                                                                                \
        }                                                                                                              \
    } while (0)

/* The same where nothing can follow. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        CHECK(condition);                                                                                              \
        if (failures != 0) {                                                                                           \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* errno after a call that was to fail. */
#define FAILS_WITH(expected, condition) CHECK((errno = 0, (condition)) && errno == (expected))

/* A device as docs/libvcsm.md tells of it under "Where devices differ". All expectations that differ from one board to
 * another come from here; the library is not asked. */
struct known_board {
    const char* device;        /* what VCSM_DEVICE calls it */
    int knows_videocore;       /* VideoCore knows its blocks */
    int has_dmabufs;           /* its blocks are exported, and those of others imported */
    int keeps_lines_apart;     /* a range's lines are cleaned and forgotten alone; elsewhere it is the whole block */
    int gives_machines_memory; /* as much as there is, which may be more than any program asks for */
    int has_mode[4];           /* by VCSM_CACHE_TYPE_T */
    const char* node[4];       /* the first makes it the device of this board; a program may open any itself */
};

/* The first one there is, in the order of docs/architecture.md. */
__attribute__((unused)) static const struct known_board* board(void) {
    static const struct known_board all[] = {
        {"vcsm-cma", 1, 1, 0, 0, {1, 1, 0, 0}, {"/dev/vcsm-cma", "/dev/dma_heap/linux,cma", "/dev/dma_heap/system"}},
        {"vcsm", 1, 0, 1, 0, {1, 1, 1, 1}, {"/dev/vcsm"}},
        {"dma-heap:vidbuf_cached", 0, 1, 0, 1, {0, 1, 0, 0}, {"/dev/dma_heap/vidbuf_cached", "/dev/dma_heap/system"}},
        {"simulated", 1, 1, 1, 0, {1, 1, 1, 1}, {NULL}}};
    static const struct known_board* found = NULL;
    const char* const wanted = getenv("VCSM_DEVICE");
    const int kept = errno; /* of the call that was just made */
    unsigned int i;
    for (i = 0; found == NULL && i < sizeof all / sizeof all[0]; ++i) {
        if (wanted != NULL ? strcmp(wanted, all[i].device) == 0
                           : all[i].node[0] == NULL || access(all[i].node[0], F_OK) == 0) {
            found = &all[i];
        }
    }
    if (found == NULL) {
        (void)fprintf(stderr, "nothing is known of the device %s\n", wanted);
        exit(1);
    }
    errno = kept;
    return found;
}

/* The mode of a block that was asked for in another: the device's nearest, in what the CPU does if it can be. */
__attribute__((unused)) static VCSM_CACHE_TYPE_T mode_given(unsigned int wanted) {
    const unsigned int for_the_cpu = wanted & VCSM_CACHE_TYPE_HOST;
    return (VCSM_CACHE_TYPE_T)(board()->has_mode[wanted]        ? wanted
                               : board()->has_mode[for_the_cpu] ? for_the_cpu
                                                                : (unsigned int)VCSM_CACHE_TYPE_HOST);
}

/* What VideoCore knows the block by, or 0 where it knows none. */
__attribute__((unused)) static unsigned int videocore_handle_of(unsigned int handle) {
    unsigned int given;
    errno = 0;
    given = vcsm_vc_hdl_from_hdl(handle);
    CHECK(board()->knows_videocore ? given != 0 : given == 0 && errno == ENOTSUP);
    return given;
}

/* A size that there is no room for. Where the machine's own memory is given, there is none for addresses, from now on.
 */
__attribute__((unused)) static unsigned int too_many_bytes(void) {
    struct rlimit addresses;
    if (!board()->gives_machines_memory) {
        return 0x70000000U;
    }
    addresses.rlim_cur = addresses.rlim_max = 0x4000000U;
    REQUIRE(setrlimit(RLIMIT_AS, &addresses) == 0);
    return 0x4000000U;
}

#ifdef __cplusplus
extern "C" {
#endif
/* VideoCore's eyes: 0, or -1 where it knows no such block. */
int videocore_reads(unsigned int videocore_handle, unsigned int offset, void* into, unsigned int bytes);
#ifdef __cplusplus
}
#endif

/* Whether VideoCore sees just these bytes in the block. Of a device that it does not know it sees nothing. */
__attribute__((unused)) static int videocore_sees(unsigned int videocore_handle, unsigned int offset,
                                                  const void* expected, unsigned int bytes) {
    static unsigned char seen[4096];
    if (!board()->knows_videocore) {
        return videocore_handle == 0;
    }
    return bytes <= sizeof seen && videocore_reads(videocore_handle, offset, seen, bytes) == 0 &&
           memcmp(seen, expected, bytes) == 0;
}

__attribute__((unused)) static int videocore_sees_byte(unsigned int videocore_handle, unsigned int offset,
                                                       int expected) {
    const unsigned char byte = (unsigned char)expected;
    return videocore_sees(videocore_handle, offset, &byte, 1);
}

#endif
