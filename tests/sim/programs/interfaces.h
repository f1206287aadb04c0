/* The drivers' structs and numbers as a program that uses them raw writes them: on purpose not the library's. */
#pragma once

#include <stdint.h>

struct cma_alloc {
    uint32_t size, num, cached, pad;
    uint8_t name[32];
    int32_t handle;
    uint32_t vc_handle;
    uint64_t dma_addr;
};
struct cma_import {
    int32_t dmabuf_fd;
    uint32_t cached;
    uint8_t name[32];
    int32_t handle;
    uint32_t vc_handle, size, pad;
    uint64_t dma_addr;
};
#define CMA_ALLOC 0x80404a5aUL
#define CMA_IMPORT 0x80404a5bUL
#define CMA_CLEAN_INVALID2 0x80084a5cUL

struct heap_alloc {
    uint64_t len;
    uint32_t fd, fd_flags;
    uint64_t heap_flags;
};
#define HEAP_ALLOC 0xc0184800UL

struct sync {
    uint64_t flags;
};
#define SYNC 0x40086200UL
#define SET_NAME 0x40086201UL

struct udmabuf {
    uint32_t memfd, flags;
    uint64_t offset, size;
};
#define UDMABUF_CREATE 0x40187542UL
