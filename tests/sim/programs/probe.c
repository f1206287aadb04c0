/* Asks the devices, raw, and prints what they answer: `probe CHAPTER...`. The tests compare the lines with the
 * drivers' answers as they were seen on real kernels. */
#define _GNU_SOURCE
#include "interfaces.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static long failed(long result) {
    return result;
}

/* "what: result" or "what: ERRNO". */
static void show(const char* what, long result) {
    const int error = errno;
    if (failed(result) == -1)
        printf("%s: %s\n", what, strerrorname_np(error));
    else
        printf("%s: %ld\n", what, result);
    fflush(stdout);
    errno = 0;
}
#define SHOW(what, call)                                                                                               \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        const long result_ = (long)(call);                                                                             \
        show(what, result_);                                                                                           \
    } while (0)

static int device(void) {
    const int fd = open("/dev/vcsm-cma", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        perror("/dev/vcsm-cma");
        exit(9);
    }
    return fd;
}

static struct cma_alloc alloc_args(uint32_t size, const char* name) {
    struct cma_alloc a;
    memset(&a, 0, sizeof a);
    a.size = size;
    a.num = 1;
    a.handle = -1;
    strncpy((char*)a.name, name, sizeof a.name);
    return a;
}

static int alloc_block(int fd, uint32_t size, const char* name) {
    struct cma_alloc a = alloc_args(size, name);
    return ioctl(fd, CMA_ALLOC, &a) == 0 ? a.handle : -1;
}

static int heap_block(const char* heap, uint64_t size) {
    char path[64];
    snprintf(path, sizeof path, "/dev/dma_heap/%s", heap);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct heap_alloc a = {size, 0, O_RDWR | O_CLOEXEC, 0};
    const int result = fd < 0 ? -1 : ioctl(fd, HEAP_ALLOC, &a);
    if (fd >= 0)
        close(fd);
    return result == 0 ? (int)a.fd : -1;
}

static int import_block(int fd, int dmabuf, struct cma_import* out) {
    memset(out, 0, sizeof *out);
    out->dmabuf_fd = dmabuf;
    out->handle = -1;
    strcpy((char*)out->name, "imported");
    return ioctl(fd, CMA_IMPORT, out);
}

static int sync_block(int fd, uint64_t flags) {
    struct sync s = {flags};
    return ioctl(fd, SYNC, &s);
}

static void link_of(int fd) {
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(path, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    printf("link: %s\n", text);
    SHOW("open link", open(path, O_RDWR));
}

static void info_of(int fd) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE* f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (!strncmp(line, "mnt_id", 6) || !strncmp(line, "ino", 3)) /* numbers of this machine */
            *strchr(line, '\t') = '\n', *(strchr(line, '\n') + 1) = 0;
        fputs(line, stdout);
    }
    if (f)
        fclose(f);
}

/* ---- chapters ---- */

static void node(void) {
    struct stat st;
    SHOW("stat", stat("/dev/vcsm-cma", &st));
    printf("character %d major %u mode %o\n", S_ISCHR(st.st_mode), major(st.st_rdev), st.st_mode & 07777);
    SHOW("access", access("/dev/vcsm-cma", R_OK | W_OK));
    const int fd = device();
    char byte = 0;
    SHOW("read", read(fd, &byte, 1));
    SHOW("write", write(fd, &byte, 1));
    SHOW("fsync", fsync(fd));
    SHOW("ftruncate", ftruncate(fd, 0));
    SHOW("lseek", lseek(fd, 0, SEEK_SET));
    SHOW("mmap", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    SHOW("fallocate", fallocate(fd, 0, 0, 4096));
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    SHOW("poll", poll(&p, 1, 0));
    printf("revents %d\n", p.revents);
    uint64_t nothing[16] = {0};
    SHOW("clean invalid 2", ioctl(fd, CMA_CLEAN_INVALID2, nothing));
    SHOW("unknown", ioctl(fd, 0x80404a70UL, nothing));
    SHOW("another type", ioctl(fd, 0xc0184800UL, nothing));
    struct cma_alloc a = alloc_args(4096, "low bits");
    SHOW("low 8 bits", ioctl(fd, 0x5aUL, &a));
    close(a.handle);
    const int read_only = open("/dev/vcsm-cma", O_RDONLY);
    SHOW("alloc on a read-only descriptor", close(alloc_block(read_only, 4096, "read-only")));
}

static void alloc(void) {
    const int fd = device();
    struct cma_alloc a = alloc_args(5000, "five thousand");
    a.cached = 0xffffffff, a.num = 77, a.pad = 0x12345678;
    SHOW("alloc 5000", ioctl(fd, CMA_ALLOC, &a));
    printf("size %u num %u handle>0 %d vc_handle>0 %d dma_addr>0 %d\n", a.size, a.num, a.handle > 0, a.vc_handle > 0,
           a.dma_addr > 0);
    SHOW("capacity", lseek(a.handle, 0, SEEK_END));
    SHOW("close-on-exec", fcntl(a.handle, F_GETFD));
    SHOW("mode", fcntl(a.handle, F_GETFL) & O_ACCMODE);
    unsigned char* m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, a.handle, 0);
    int zero = 1;
    for (int i = 0; i < 8192; ++i)
        zero = zero && m[i] == 0;
    printf("zero %d\n", zero);
    munmap(m, 8192);
    close(a.handle);
    const uint32_t sizes[] = {0, 0xfffff001, 0xffffffff, 0x7f000000, 0xfffff000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        struct cma_alloc bad = alloc_args(sizes[i], "bad"), copy = bad;
        char what[32];
        snprintf(what, sizeof what, "alloc %#x", sizes[i]);
        SHOW(what, ioctl(fd, CMA_ALLOC, &bad));
        if (memcmp(&bad, &copy, sizeof bad))
            printf("struct was written\n");
    }
    SHOW("alloc null", ioctl(fd, CMA_ALLOC, NULL));
    SHOW("alloc bad pointer", ioctl(fd, CMA_ALLOC, (void*)8));
    SHOW("import bad pointer", ioctl(fd, CMA_IMPORT, (void*)8));
    /* A struct whose end lies in the next, unmapped page. */
    char* two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(two + 4096, 4096);
    SHOW("alloc half a pointer", ioctl(fd, CMA_ALLOC, two + 4096 - 32));
}

static void block(void) {
    const int fd = device();
    const int b = alloc_block(fd, 8192, "a block");
    struct stat st;
    char byte = 0;
    SHOW("seek end", lseek(b, 0, SEEK_END));
    SHOW("seek set", lseek(b, 0, SEEK_SET));
    SHOW("seek set 1", lseek(b, 1, SEEK_SET));
    SHOW("seek cur", lseek(b, 0, SEEK_CUR));
    SHOW("seek end -1", lseek(b, -1, SEEK_END));
    SHOW("fstat", fstat(b, &st));
    printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
    link_of(b);
    info_of(b);
    SHOW("set name", ioctl(b, SET_NAME, "grid"));
    SHOW("set name of 32 bytes", ioctl(b, SET_NAME, "12345678901234567890123456789012"));
    link_of(b);
    info_of(b);
    SHOW("read", read(b, &byte, 1));
    SHOW("write", write(b, &byte, 1));
    SHOW("ftruncate", ftruncate(b, 0));
    SHOW("fsync", fsync(b));
    struct cma_alloc a = alloc_args(4096, "no");
    SHOW("alloc on it", ioctl(b, CMA_ALLOC, &a));
    struct pollfd p = {b, POLLIN | POLLOUT, 0};
    SHOW("poll", poll(&p, 1, 0));
    printf("revents %d\n", p.revents);
    for (uint64_t flags = 0; flags <= 9; ++flags) {
        char what[32];
        snprintf(what, sizeof what, "sync %d", (int)flags);
        SHOW(what, sync_block(b, flags));
    }
    SHOW("sync ~0", sync_block(b, ~UINT64_C(0)));
    SHOW("sync bad pointer", ioctl(b, SYNC, (void*)8));
    char* m = NULL;
    SHOW("map", (m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0)) == MAP_FAILED ? -1 : 0);
    SHOW("map beyond the end", mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, b, 4096));
    SHOW("mremap to grow", mremap(m, 8192, 16384, MREMAP_MAYMOVE));
    SHOW("msync", msync(m, 8192, MS_SYNC));
    SHOW("madvise", madvise(m, 8192, MADV_DONTNEED));
    SHOW("mlock", mlock(m, 8192));
    SHOW("mprotect", mprotect(m, 8192, PROT_READ));
    SHOW("mprotect back", mprotect(m, 8192, PROT_READ | PROT_WRITE));
    strcpy(m, "through a mapping");
    int pair[2];
    if (pipe(pair) != 0)
        exit(9);
    SHOW("write from the mapping", write(pair[1], m, 17));
    SHOW("read into the mapping", read(pair[0], m + 4096, 17));
    printf("%s\n", m + 4096);
    munmap(m, 8192);
    close(b);
}

static void import(void) {
    const int fd = device();
    const int source = heap_block("linux,cma", 8192);
    struct cma_import one, two;
    SHOW("import", import_block(fd, source, &one));
    printf("size %u handle>0 %d vc_handle>0 %d dma_addr>0 %d\n", one.size, one.handle > 0, one.vc_handle > 0,
           one.dma_addr > 0);
    SHOW("close-on-exec", fcntl(one.handle, F_GETFD));
    SHOW("import again", import_block(fd, source, &two));
    printf("other handle %d same address %d\n", one.vc_handle != two.vc_handle, one.dma_addr == two.dma_addr);
    link_of(one.handle);
    info_of(one.handle);
    char* m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, source, 0);
    m[0] = 'x';
    SHOW("sync end", sync_block(source, 6));
    munmap(m, 8192);
    close(source);
    m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, one.handle, 0);
    printf("byte %c\n", m[0]);
    munmap(m, 8192);
    close(one.handle);
    close(two.handle);
    const int scattered = heap_block("system", 8192);
    struct cma_import none, before;
    memset(&before, 0, sizeof before);
    before.dmabuf_fd = scattered;
    before.handle = -1;
    strcpy((char*)before.name, "imported");
    SHOW("import of two pieces", import_block(fd, scattered, &none));
    printf("struct written %d\n", memcmp(&none, &before, sizeof none) != 0);
    close(scattered);
    const int single = heap_block("system", 4096);
    SHOW("import of one page of system", import_block(fd, single, &none));
    close(single);
    close(none.handle);
}

static void descriptors(void) {
    const int fd = device();
    const int source = heap_block("linux,cma", 4096);
    const struct rlimit few = {(rlim_t)source + 1, (rlim_t)source + 1};
    setrlimit(RLIMIT_NOFILE, &few);
    while (dup(0) >= 0) {
    }
    struct cma_import none;
    SHOW("import", import_block(fd, source, &none));
    SHOW("heap", heap_block("linux,cma", 4096));
    SHOW("open", open("/dev/vcsm-cma", O_RDWR));
    struct cma_alloc a = alloc_args(4096, "none left");
    SHOW("alloc", ioctl(fd, CMA_ALLOC, &a));
    printf("handle %d\n", a.handle);
    close(source);
}

static void read_only(void) {
    const int fd = device();
    char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct cma_alloc a = alloc_args(4096, "read-only");
    memcpy(page, &a, sizeof a);
    mprotect(page, 4096, PROT_READ);
    SHOW("alloc", ioctl(fd, CMA_ALLOC, page));
}

static void crash(const char* how) {
    const int fd = device();
    struct cma_import one, two, three;
    int source = -1;
    if (!strcmp(how, "closed")) {
        source = 1000;
    } else if (!strcmp(how, "file")) {
        source = open("/etc/passwd", O_RDONLY);
    } else if (!strcmp(how, "sync") || !strcmp(how, "sync-import")) {
        source = alloc_block(fd, 4096, "attached");
        import_block(fd, source, &one);
        sync_block(!strcmp(how, "sync") ? source : one.handle, 3);
        printf("still here\n");
        return;
    } else if (!strcmp(how, "deep")) {
        source = heap_block("linux,cma", 4096);
        import_block(fd, source, &one);
        import_block(fd, one.handle, &two);
        source = two.handle;
    }
    import_block(fd, source, &three);
    printf("still here\n");
}

static void udmabuf(void) {
    const int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
    const int memfd = memfd_create("mine", MFD_ALLOW_SEALING);
    if (ftruncate(memfd, 8192) != 0)
        exit(9);
    struct udmabuf u = {(uint32_t)memfd, 1, 0, 8192};
    SHOW("without seals", ioctl(fd, UDMABUF_CREATE, &u));
    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK);
    const int b = ioctl(fd, UDMABUF_CREATE, &u);
    SHOW("create", b > 0 ? 0 : b);
    SHOW("size", lseek(b, 0, SEEK_END));
    SHOW("close-on-exec", fcntl(b, F_GETFD));
    SHOW("sync", sync_block(b, 3));
    SHOW("sync on the memfd", sync_block(memfd, 3));
    info_of(b);
    char* mine = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    char* theirs = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
    strcpy(mine + 5000, "same pages");
    printf("%s\n", theirs + 5000);
    munmap(mine, 8192);
    munmap(theirs, 8192);
    u.memfd = 0;
    SHOW("of no memfd", ioctl(fd, UDMABUF_CREATE, &u));
    u.memfd = (uint32_t)memfd;
    u.size = 100;
    SHOW("of half a page", ioctl(fd, UDMABUF_CREATE, &u));
    u.size = 16384;
    SHOW("of too much", ioctl(fd, UDMABUF_CREATE, &u));
    close(b);
    close(memfd);
}

static void heap(void) {
    const int fd = open("/dev/dma_heap/vidbuf_cached", O_RDONLY);
    struct heap_alloc a = {5000, 0, O_RDWR | O_CLOEXEC, 0};
    SHOW("alloc", ioctl(fd, HEAP_ALLOC, &a));
    SHOW("size", lseek((int)a.fd, 0, SEEK_END));
    SHOW("close-on-exec", fcntl((int)a.fd, F_GETFD));
    SHOW("sync 0", sync_block((int)a.fd, 0));
    SHOW("sync 3", sync_block((int)a.fd, 3));
    info_of((int)a.fd);
    close((int)a.fd);
    struct heap_alloc bad = {4096, 7, O_RDWR, 0};
    SHOW("fd not 0", ioctl(fd, HEAP_ALLOC, &bad));
    bad = (struct heap_alloc){4096, 0, O_APPEND, 0};
    SHOW("bad flags", ioctl(fd, HEAP_ALLOC, &bad));
    bad = (struct heap_alloc){4096, 0, O_RDWR, 1};
    SHOW("bad heap flags", ioctl(fd, HEAP_ALLOC, &bad));
    bad = (struct heap_alloc){0, 0, O_RDWR, 0};
    SHOW("no bytes", ioctl(fd, HEAP_ALLOC, &bad));
    bad = (struct heap_alloc){UINT64_C(1) << 40, 0, O_RDWR, 0};
    SHOW("too much", ioctl(fd, HEAP_ALLOC, &bad));
    SHOW("bad pointer", ioctl(fd, HEAP_ALLOC, NULL));
    char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    a = (struct heap_alloc){4096, 0, O_RDWR | O_CLOEXEC, 0};
    memcpy(page, &a, sizeof a);
    mprotect(page, 4096, PROT_READ);
    const int next = dup(fd);
    close(next);
    SHOW("read-only", ioctl(fd, HEAP_ALLOC, page));
    SHOW("of it is left", lseek(next, 0, SEEK_END));
    close(next);
}

static void faults(void) {
    const int fd = device();
    struct cma_alloc a = alloc_args(4096, "faults");
    SHOW("alloc 1", ioctl(fd, CMA_ALLOC, &a));
    SHOW("alloc 2", ioctl(fd, CMA_ALLOC, &a));
    SHOW("alloc 3", ioctl(fd, CMA_ALLOC, &a));
    SHOW("sync 1", sync_block(a.handle, 3));
    SHOW("sync 2", sync_block(a.handle, 3));
    struct cma_import i;
    SHOW("import 1", import_block(fd, a.handle, &i));
    SHOW("import 2", import_block(fd, a.handle, &i));
    SHOW("map 1", mmap(NULL, 4096, PROT_READ, MAP_SHARED, a.handle, 0) == MAP_FAILED ? -1 : 0);
    SHOW("map 2", mmap(NULL, 4096, PROT_READ, MAP_SHARED, a.handle, 0) == MAP_FAILED ? -1 : 0);
}

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        const char* what = argv[i];
        if (!strcmp(what, "node"))
            node();
        else if (!strcmp(what, "alloc"))
            alloc();
        else if (!strcmp(what, "block"))
            block();
        else if (!strcmp(what, "import"))
            import();
        else if (!strcmp(what, "descriptors"))
            descriptors();
        else if (!strcmp(what, "read-only"))
            read_only();
        else if (!strcmp(what, "crash"))
            crash(argv[++i]);
        else if (!strcmp(what, "udmabuf"))
            udmabuf();
        else if (!strcmp(what, "faults"))
            faults();
        else if (!strcmp(what, "heap"))
            heap();
        else
            return 9;
    }
    return 0;
}
