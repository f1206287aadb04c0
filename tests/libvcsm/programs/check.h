/* What the programs share: each tests one function, and ends with 1 if a check failed. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#ifdef __cplusplus
extern "C" {
#endif
int videocore_reads(unsigned int videocore_handle, unsigned int offset, void* into, unsigned int bytes);
#ifdef __cplusplus
}
#endif

/* One byte as VideoCore sees it. */
__attribute__((unused)) static unsigned char vc_byte(unsigned int videocore_handle, unsigned int offset) {
    unsigned char byte = 0xee;
    CHECK(videocore_reads(videocore_handle, offset, &byte, 1) == 0);
    return byte;
}

#endif
