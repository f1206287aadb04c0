/* /dev/vcsm as 32-bit programs used it: raw calls, by the published numbers. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct alloc {
    uint32_t size, num, cached;
    char name[32];
    uint32_t handle;
};
struct two {
    uint32_t handle, second;
};
struct three {
    uint32_t handle, second, third;
};
struct four {
    uint32_t first, second, third, fourth;
};

static void show(const char* what, long result) {
    if (result == -1)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, result);
    fflush(stdout);
}

int main(int argc, char** argv) {
    const int fd = open("/dev/vcsm", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        printf("open: %s\n", strerrorname_np(errno));
        return 3;
    }
    struct alloc a = {8192, 1, 0, "legacy", 0};
    show("alloc", ioctl(fd, 0x8030495a, &a));
    printf("handle>0 %d page-aligned %d\n", a.handle > 0, a.handle % 4096 == 0);
    struct two lock = {a.handle, 0};
    show("lock unmapped", ioctl(fd, 0x8008495c, &lock));
    show("unlock", ioctl(fd, 0x8008495e, &lock));
    show("map wrong size", (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, a.handle));
    show("map unknown", (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0x7000000));
    char* m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, a.handle);
    show("map", m == MAP_FAILED ? -1 : 0);
    show("lock", ioctl(fd, 0x8008495c, &lock));
    printf("address is the mapping's %d\n", lock.second == (uint32_t)(uintptr_t)m);
    strcpy(m, "written");
    show("unlock", ioctl(fd, 0x8008495e, &lock));
    struct two size = {a.handle, 0};
    show("size", ioctl(fd, 0x80084964, &size));
    printf("%u\n", size.second);
    struct four check = {a.handle, 0, 0, 9};
    show("check", ioctl(fd, 0x80104965, &check));
    printf("address %d size %u cache %u\n", check.second == (uint32_t)(uintptr_t)m, check.third, check.fourth);
    struct four map = {(uint32_t)getpid(), a.handle, 0, 0};
    show("videocore handle", ioctl(fd, 0x80104969, &map));
    printf("%d\n", map.second > 0);
    map = (struct four){(uint32_t)getpid(), a.handle, 0, 0};
    show("bus address", ioctl(fd, 0x8010496a, &map));
    printf("%#x\n", map.third);
    map = (struct four){(uint32_t)getpid(), 0, (uint32_t)(uintptr_t)m + 10, 0};
    show("handle of address", ioctl(fd, 0x80104966, &map));
    printf("%d\n", map.second == a.handle);
    struct three resize = {a.handle, 16384, 0};
    show("resize mapped", ioctl(fd, 0x800c495f, &resize));
    munmap(m, 8192);
    show("resize", ioctl(fd, 0x800c495f, &resize));
    printf("old size %u\n", resize.third);
    m = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, a.handle);
    printf("kept %s\n", m == MAP_FAILED ? "nothing" : m);
    struct two none = {0x7000000, 0};
    show("lock of none", ioctl(fd, 0x8008495c, &none));
    show("unlock of none", ioctl(fd, 0x8008495e, &none));
    show("free of none", ioctl(fd, 0x80044961, &none));
    show("size of none", ioctl(fd, 0x80084964, &none));
    printf("%u\n", none.second);
    struct three resize_none = {0x7000000, 4096, 0};
    show("resize of none", ioctl(fd, 0x800c495f, &resize_none));
    struct four check_none = {0x7000000, 0, 0, 0};
    show("check of none", ioctl(fd, 0x80104965, &check_none));
    show("bad pointer", ioctl(fd, 0x8030495a, (void*)8));
    show("walk", ioctl(fd, 0x496b, 0));
    show("unknown", ioctl(fd, 0x80044999, 0));
    if (fork() == 0) { /* the same open device in another process */
        show("lock by another", ioctl(fd, 0x8008495c, &lock));
        const int mine = open("/dev/vcsm", O_RDWR);
        show("lock on another open", ioctl(mine, 0x8008495c, &lock));
        struct two share = {a.handle, 0};
        show("share", ioctl(mine, 0x8008495b, &share));
        printf("size %u\n", share.second);
        char* shared = mmap(NULL, 16384, PROT_READ, MAP_SHARED, mine, share.handle);
        printf("shared %s\n", shared == MAP_FAILED ? "nothing" : shared);
        fflush(stdout);
        if (shared != MAP_FAILED)
            munmap(shared, 16384);
        ioctl(mine, 0x80044961, &share);
        close(mine);
        _exit(0);
    }
    wait(NULL);
    munmap(m, 16384);
    if (argc < 2 || strcmp(argv[1], "leak") != 0)
        show("free", ioctl(fd, 0x80044961, &a.handle));
    struct alloc cached = {4096, 1, 1, "cached", 0};
    show("alloc cached", ioctl(fd, 0x8030495a, &cached));
    show("free", ioctl(fd, 0x80044961, &cached.handle));
    if (argc < 2 || strcmp(argv[1], "leak") != 0)
        close(fd);
    return 0;
}
