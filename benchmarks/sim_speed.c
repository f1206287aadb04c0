/* What vcsm-sim costs: each call with and without it, and the difference.
 *
 *   sim_speed VCSM_SIM               runs itself under that vcsm-sim and prints a table
 *   sim_speed --anywhere VCSM_SIM    wherever the kernel puts the program and vcsm-sim
 *
 * The program and vcsm-sim take turns, and are measured on one processor. Waking another one, as the kernel sometimes
 * does instead, is its own time: on virtual machines 10 to 25 microseconds.
 *
 * A row says how long the call takes by itself and under vcsm-sim, and what it may cost at most. Each figure is the
 * best of many short runs, so that other work on the machine disturbs it little. It ends with 1 if a limit was broken.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct cma_alloc {
    uint32_t size, num, cached, pad;
    uint8_t name[32];
    int32_t handle;
    uint32_t vc_handle;
    uint64_t dma_addr;
};
struct heap_alloc {
    uint64_t len;
    uint32_t fd, fd_flags;
    uint64_t heap_flags;
};
#define CMA_ALLOC 0x80404a5aUL
#define HEAP_ALLOC 0xc0184800UL
#define SYNC 0x40086200UL

enum { blocks_at_once = 100, bytes_of_memory = 8 << 20 };

static int device = -1, block = -1, heap = -1;
static int made[blocks_at_once];
static char* mapped;
static volatile uint64_t sink;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int alloc_cma(void) {
    struct cma_alloc a;
    memset(&a, 0, sizeof a);
    a.size = 4096;
    a.handle = -1;
    return ioctl(device, CMA_ALLOC, &a) == 0 ? a.handle : -1;
}
static int alloc_heap(void) {
    struct heap_alloc a = {4096, 0, O_RDWR | O_CLOEXEC, 0};
    return ioctl(heap, HEAP_ALLOC, &a) == 0 ? (int)a.fd : -1;
}

static void do_getppid(int i) {
    (void)i;
    syscall(SYS_getppid);
}
static void do_compute(int i) {
    uint64_t x = (uint64_t)i + 1;
    for (int k = 0; k < 20000; ++k) {
        x = x * 6364136223846793005u + 1442695040888963407u;
    }
    sink = x;
}
static void do_write_memory(int i) {
    memset(mapped, i, bytes_of_memory);
}
static void do_read_memory(int i) {
    (void)i;
    uint64_t sum = 0;
    const uint64_t* const words = (const uint64_t*)mapped;
    for (size_t k = 0; k < bytes_of_memory / sizeof *words; ++k) {
        sum += words[k];
    }
    sink = sum;
}
static void do_open(int i) {
    (void)i;
    made[0] = open("/etc/passwd", O_RDONLY);
    close(made[0]);
}
static void do_stat(int i) {
    struct stat status;
    (void)i;
    sink = (uint64_t)stat("/etc/passwd", &status);
}
static void do_stat_missing(int i) {
    struct stat status;
    (void)i;
    sink = (uint64_t)stat("/usr/lib/none", &status);
}
static void do_sync(int i) {
    const uint64_t flags = i % 2 == 0 ? 3 : 7;
    sink = (uint64_t)ioctl(block, SYNC, &flags);
}
static void do_alloc_cma(int i) {
    made[i] = alloc_cma();
}
static void do_alloc_heap(int i) {
    made[i] = alloc_heap();
}
static void close_all(void) {
    for (int i = 0; i < blocks_at_once; ++i) {
        if (made[i] > 0) {
            close(made[i]);
        }
    }
    memset(made, 0, sizeof made);
}
/* What the supervisor does behind a close is not the next call's. It has done it before it answers this one. */
static void wait_for_the_closes(void) {
    char text[4096];
    const int memory = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    if (read(memory, text, sizeof text) <= 0) {
        exit(2);
    }
    close(memory);
    usleep(200);
}

struct row {
    const char* name;
    void (*call)(int);
    int times;         /* in one run */
    int simulated;     /* there only under vcsm-sim */
    double limit;      /* microseconds: all of it where simulated, else what is added */
    double limit_part; /* or, if not 0, what is added as a part of the whole */
};
static const struct row rows[] = {
    {"a call that is not intercepted", do_getppid, 2000, 0, 0.1, 0},
    {"computing", do_compute, 20, 0, 0, 0.02},
    {"writing 8 MiB of mapped memory", do_write_memory, 1, 0, 0, 0.02},
    {"reading 8 MiB of mapped memory", do_read_memory, 1, 0, 0, 0.02},
    {"open and close of another file", do_open, 100, 0, 10, 0},
    {"stat of another file", do_stat, 100, 0, 10, 0},
    {"stat of a file that is not there", do_stat_missing, 100, 0, 10, 0},
    {"DMA_BUF_IOCTL_SYNC", do_sync, 100, 1, 12, 0},
    {"VC_SM_CMA_IOCTL_MEM_ALLOC", do_alloc_cma, blocks_at_once, 1, 50, 0},
    {"DMA_HEAP_IOCTL_ALLOC", do_alloc_heap, blocks_at_once, 1, 50, 0},
};
enum { row_count = sizeof rows / sizeof *rows };

static void measure(void) {
    device = open("/dev/vcsm-cma", O_RDWR | O_CLOEXEC);
    heap = open("/dev/dma_heap/linux,cma", O_RDONLY | O_CLOEXEC);
    int memory = -1;
    if (device >= 0) {
        block = alloc_cma();
        struct cma_alloc a;
        memset(&a, 0, sizeof a);
        a.size = bytes_of_memory;
        memory = ioctl(device, CMA_ALLOC, &a) == 0 ? a.handle : -1;
    } else {
        memory = memfd_create("memory", MFD_CLOEXEC);
        if (ftruncate(memory, bytes_of_memory) != 0) {
            exit(2);
        }
    }
    mapped = mmap(NULL, bytes_of_memory, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (mapped == MAP_FAILED) {
        exit(2);
    }
    memset(mapped, 1, bytes_of_memory);
    for (int r = 0; r < row_count; ++r) {
        double best = 1e12;
        if (!rows[r].simulated || device >= 0) {
            for (int run = 0; run < 200; ++run) {
                const double start = now();
                for (int i = 0; i < rows[r].times; ++i) {
                    rows[r].call(i);
                }
                const double each = (now() - start) / rows[r].times;
                best = each < best ? each : best;
                if (rows[r].simulated && rows[r].call != do_sync) {
                    close_all();
                    wait_for_the_closes();
                }
            }
        }
        printf("%.4f\n", best);
    }
}

static void collect(const char* command, double* figures) {
    FILE* const pipe = popen(command, "r");
    for (int r = 0; r < row_count; ++r) {
        if (pipe == NULL || fscanf(pipe, "%lf", &figures[r]) != 1) {
            fprintf(stderr, "sim_speed: \"%s\" gave no figures\n", command);
            exit(2);
        }
    }
    pclose(pipe);
}

int main(int argc, char** argv) {
    if (argc == 2 && strcmp(argv[1], "--measure") == 0) {
        measure();
        return 0;
    }
    const int anywhere = argc == 3 && strcmp(argv[1], "--anywhere") == 0;
    if (argc != 2 + anywhere) {
        fprintf(stderr, "usage: sim_speed [--anywhere] VCSM_SIM\n");
        return 2;
    }
    if (!anywhere) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET((size_t)sched_getcpu(), &one);
        sched_setaffinity(0, sizeof one, &one);
    }
    char plain[4096], simulated[8192], self[2048];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length < 0 ? 0 : length] = '\0';
    snprintf(plain, sizeof plain, "'%s' --measure", self);
    snprintf(simulated, sizeof simulated, "'%s' --quiet -- '%s' --measure", argv[argc - 1], self);
    double without[row_count], with[row_count];
    collect(plain, without);
    collect(simulated, with);
    int broken = 0;
    printf("%-34s %12s %12s %12s %12s\n", "microseconds", "without", "vcsm-sim", "added", "limit");
    for (int r = 0; r < row_count; ++r) {
        char limit[32];
        int over = 0;
        if (rows[r].simulated) {
            over = with[r] > rows[r].limit;
            snprintf(limit, sizeof limit, "%.0f in all", rows[r].limit);
            printf("%-34s %12s %12.2f %12s %12s%s\n", rows[r].name, "-", with[r], "-", limit, over ? "  over" : "");
        } else {
            const double added = with[r] - without[r];
            over = rows[r].limit_part > 0 ? added > rows[r].limit_part * without[r] : added > rows[r].limit;
            if (rows[r].limit_part > 0) {
                snprintf(limit, sizeof limit, "%.0f %%", 100 * rows[r].limit_part);
            } else {
                snprintf(limit, sizeof limit, "%g", rows[r].limit);
            }
            printf("%-34s %12.2f %12.2f %12.2f %12s%s\n", rows[r].name, without[r], with[r], added, limit,
                   over ? "  over" : "");
        }
        broken += over;
    }
    return broken != 0;
}
