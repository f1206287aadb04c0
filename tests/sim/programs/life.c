/* Programs' ways to live and to end, with blocks in their hands: `life WAY [NUMBER]`. */
#define _GNU_SOURCE
#include "interfaces.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int device(void) {
    const int fd = open("/dev/vcsm-cma", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        perror("/dev/vcsm-cma");
        exit(9);
    }
    return fd;
}

static int block_of(int fd, uint32_t size, const char* name, uint32_t* videocore_handle) {
    struct cma_alloc a;
    memset(&a, 0, sizeof a);
    a.size = size;
    a.num = 1;
    a.handle = -1;
    strncpy((char*)a.name, name, sizeof a.name - 1);
    if (ioctl(fd, CMA_ALLOC, &a) != 0)
        return -1;
    if (videocore_handle)
        *videocore_handle = a.vc_handle;
    return a.handle;
}

static int sync_block(int fd, uint64_t flags) {
    struct sync s = {flags};
    return ioctl(fd, SYNC, &s);
}

static void use(int fd, const char* name) {
    const int b = block_of(fd, 4096, name, NULL);
    char* m = b < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
    if (m == MAP_FAILED || sync_block(b, 3) != 0) {
        perror(name);
        _exit(8);
    }
    memset(m, 1, 4096);
    if (sync_block(b, 7) != 0)
        _exit(8);
    munmap(m, 4096);
    close(b);
}

static void* use_in_thread(void* count) {
    const int fd = device();
    for (long i = 0; i < (long)count; ++i)
        use(fd, "of a thread");
    close(fd);
    return NULL;
}

static volatile sig_atomic_t alarms;
static void on_alarm(int number) {
    (void)number;
    ++alarms;
}

static void send_fd(int socket, int fd) {
    char byte = 0, room[CMSG_SPACE(sizeof fd)];
    struct iovec data = {&byte, 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(socket, &m, 0) != 1)
        _exit(7);
}
static int receive_fd(int socket) {
    int fd = -1;
    char byte, room[CMSG_SPACE(sizeof fd)];
    struct iovec data = {&byte, 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(socket, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

int main(int argc, char** argv) {
    const char* way = argc > 1 ? argv[1] : "";
    const long number = argc > 2 ? atol(argv[2]) : 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(way, "storm")) { /* forks that each use a block */
        for (long i = 0; i < number; ++i)
            if (fork() == 0) {
                use(device(), "of a fork");
                _exit(0);
            }
        int bad = 0, status;
        while (wait(&status) > 0)
            bad += status != 0;
        printf("bad %d\n", bad);
        return bad != 0;
    }
    const int fd = device();
    if (!strcmp(way, "clean")) {
        use(fd, "clean");
    } else if (!strcmp(way, "leak")) {
        for (long i = 0; i < number; ++i)
            block_of(fd, 5000, "forgotten", NULL);
    } else if (!strcmp(way, "leak-mapping")) {
        const int b = block_of(fd, 4096, "mapped", NULL);
        if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, b, 0) == MAP_FAILED)
            return 8;
        close(b);
    } else if (!strcmp(way, "leak-raw-exit")) {
        block_of(fd, 4096, "raw", NULL);
        syscall(SYS_exit, 4);
    } else if (!strcmp(way, "fork")) { /* a child that merely inherits leaks nothing */
        const int b = block_of(fd, 4096, "inherited", NULL);
        if (fork() == 0)
            _exit(0);
        wait(NULL);
        close(b);
    } else if (!strcmp(way, "fork-outlives")) { /* the parent closes; the child ends with what it inherited */
        const int b = block_of(fd, 4096, "outlived", NULL);
        if (fork() == 0) {
            usleep(100000);
            _exit(0);
        }
        close(b);
    } else if (!strcmp(way, "vfork")) {
        const int b = block_of(fd, 4096, "vfork", NULL);
        const pid_t child = vfork();
        if (child == 0) {
            execl("/bin/true", "true", (char*)NULL);
            _exit(1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        close(b);
        return status;
    } else if (!strcmp(way, "exec")) {
        block_of(fd, 4096, "closed by exec", NULL);
        execl("/bin/true", "true", (char*)NULL);
    } else if (!strcmp(way, "failed-exec")) {
        const int b = block_of(fd, 4096, "kept", NULL);
        execl("/does/not/exist", "nothing", (char*)NULL);
        sync_block(b, 3);
        close(b);
    } else if (!strcmp(way, "killed")) {
        block_of(fd, 4096, "of the dead", NULL);
        kill(getpid(), (int)number);
    } else if (!strcmp(way, "daemon")) {
        if (fork() > 0)
            _exit(3);
        setsid();
        if (fork() > 0)
            _exit(0);
        usleep(100000);
        use(fd, "daemon");
        block_of(fd, 4096, "of a daemon", NULL);
        printf("daemon done\n");
    } else if (!strcmp(way, "threads")) {
        pthread_t threads[16];
        for (long i = 0; i < 16; ++i)
            pthread_create(&threads[i], NULL, use_in_thread, (void*)number);
        for (long i = 0; i < 16; ++i)
            pthread_join(threads[i], NULL);
    } else if (!strcmp(way, "signals")) {
        signal(SIGALRM, on_alarm);
        const struct itimerval often = {{0, 300}, {0, 300}};
        setitimer(ITIMER_REAL, &often, NULL);
        for (long i = 0; i < number; ++i)
            use(fd, "stormy");
        const struct itimerval never = {{0, 0}, {0, 0}};
        setitimer(ITIMER_REAL, &never, NULL);
        printf("signals %d\n", alarms > 0);
    } else if (!strcmp(way, "many")) {
        struct rlimit files;
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        int* blocks = calloc((size_t)number, sizeof *blocks);
        for (long i = 0; i < number; ++i)
            if ((blocks[i] = block_of(fd, 4096, "one of many", NULL)) < 0) {
                perror("alloc");
                return 8;
            }
        for (long i = 0; i < number; ++i)
            if (sync_block(blocks[i], 3) != 0)
                return 8;
        for (long i = 0; i < number; ++i)
            close(blocks[i]);
        free(blocks);
    } else if (!strcmp(way, "memory-comes-back")) { /* each block is half of the memory */
        for (long i = 0; i < number; ++i) {
            const int b = block_of(fd, 32 << 20, "half", NULL), c = block_of(fd, 32 << 20, "half", NULL);
            if (b < 0 || c < 0) {
                perror("alloc");
                return 8;
            }
            if (block_of(fd, 4096, "too much", NULL) >= 0)
                return 7;
            close(b);
            close(c);
        }
    } else if (!strcmp(way, "send")) { /* the receiver is the last holder */
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
            return 9;
        const pid_t child = fork();
        if (child == 0) {
            const int b = receive_fd(pair[1]);
            char* m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
            printf("received %s\n", m);
            char closed;
            if (read(pair[1], &closed, 1) != 1) /* the sender has let go: this process is the last holder */
                return 7;
            if (number == 0)
                close(b), munmap(m, 4096);
            return 0;
        }
        usleep(50000); /* the child is known to be older than the block */
        const int b = block_of(fd, 4096, "sent", NULL);
        char* m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
        strcpy(m, "hello");
        send_fd(pair[0], b);
        munmap(m, 4096);
        close(b);
        if (write(pair[0], "c", 1) != 1)
            return 7;
        waitpid(child, NULL, 0);
    } else if (!strcmp(way, "unsynced")) {
        const int heap = open("/dev/dma_heap/linux,cma", O_RDONLY | O_CLOEXEC);
        struct heap_alloc a = {4096, 0, O_RDWR | O_CLOEXEC, 0};
        if (ioctl(heap, HEAP_ALLOC, &a) != 0)
            return 8;
        struct cma_import i;
        memset(&i, 0, sizeof i);
        i.dmabuf_fd = (int32_t)a.fd;
        if (ioctl(fd, CMA_IMPORT, &i) != 0)
            return 8;
        char* m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, i.handle, 0);
        sync_block(i.handle, 3);
        strcpy(m, "never seen");
        if (number == 0)
            sync_block(i.handle, 7);
        munmap(m, 4096);
        close(i.handle);
        close((int)a.fd);
    } else if (!strcmp(way, "hold")) { /* prints its handle and waits for a line on standard input */
        uint32_t handle = 0;
        const int b = block_of(fd, 4096, "talked about", &handle);
        char* m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
        strcpy(m, "from the program");
        printf("handle %u\n", handle);
        usleep((useconds_t)number * 1000);
        printf("then %s\n", m);
        munmap(m, 4096);
        close(b);
    } else if (!strcmp(way, "sleep")) {
        block_of(fd, 4096, "asleep", NULL);
        printf("asleep\n");
        sleep((unsigned)number);
    } else if (!strcmp(way, "spin")) { /* never makes a call again */
        printf("spinning\n");
        if (number > 1 && fork() == 0)
            setsid();
        for (volatile unsigned long i = 0;; ++i) {
        }
    } else {
        return 9;
    }
    close(fd);
    return 0;
}
