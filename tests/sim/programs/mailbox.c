/* The firmware's mailbox as mailbox.c of so many programs uses it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t property(int fd, uint32_t tag, unsigned count, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t p[9] = {(6 + count) * 4, 0, tag, count * 4, 0};
    const uint32_t values[3] = {a, b, c};
    memcpy(p + 5, values, count * 4);
    p[5 + count] = 0;
    if (ioctl(fd, _IOWR(100, 0, char*), p) != 0 || p[1] != 0x80000000)
        perror("property");
    return p[5];
}

int main(int argc, char** argv) {
    const int fd = open("/dev/vcio", 0);
    printf("revision %#x\n", property(fd, 0x10002, 1, 0, 0, 0));
    const uint32_t handle = property(fd, 0x3000c, 3, 8192, 4096, 1 << 2);
    const uint32_t bus = property(fd, 0x3000d, 1, handle, 0, 0);
    printf("handle>0 %d bus %#x\n", handle > 0, bus);
    const int mem = open("/dev/mem", O_RDWR | O_SYNC);
    char* m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, mem, bus & 0x3fffffff);
    strcpy(m, "physical");
    printf("%s\n", m);
    munmap(m, 8192);
    printf("too much %u\n", property(fd, 0x3000c, 3, 1 << 30, 4096, 1 << 2));
    printf("unlock %u, of none %d\n", property(fd, 0x3000e, 1, handle, 0, 0), property(fd, 0x3000e, 1, 999, 0, 0) != 0);
    if (argc < 2 || strcmp(argv[1], "leak") != 0) {
        printf("release %u\n", property(fd, 0x3000f, 1, handle, 0, 0));
        printf("again %d\n", property(fd, 0x3000f, 1, handle, 0, 0) != 0);
    }
    const int result = ioctl(fd, _IOWR(100, 0, char*), NULL);
    printf("bad pointer %d %s\n", result, strerrorname_np(errno));
    close(mem);
    close(fd);
    return 0;
}
