/*
 * VideoCore shared memory for C: memory that both the CPU and a Raspberry Pi's VideoCore can reach.
 *
 *     #include <interface/vcsm/user-vcsm.h>
 *
 *     if (vcsm_init() == 0) {
 *         unsigned int handle = vcsm_malloc(size, "frame");
 *         void *memory = vcsm_lock(handle);
 *         memcpy(memory, frame, size);
 *         vcsm_unlock_hdl(handle);                    (now VideoCore sees it)
 *         use(vcsm_vc_hdl_from_hdl(handle));
 *         vcsm_free(handle);
 *         vcsm_exit();
 *     }
 *
 * Handles are opaque numbers above 0, the same in C, C++ and Python. Every function may be called from any thread. A
 * function that fails says so in its result and sets errno; with VCSM_LOG=error in the environment it also says on
 * standard error what failed and why. Before vcsm_init() and after the last vcsm_exit() every function but vcsm_init(),
 * vcsm_init_ex() and vcsm_status() fails, with EINVAL for handles and addresses, which are none then, and with ENODEV
 * for what would make a block.
 */
#ifndef INTERFACE_VCSM_USER_VCSM_H
#define INTERFACE_VCSM_USER_VCSM_H

#ifdef __cplusplus
extern "C" {
#endif

/* Programs pass numbers that stand for none of an enumeration's names (0x80 added to a cache type, above all). C allows
 * that of itself, C++ where the type below is said; it is the one that the enumerations have in C. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define VCSM_ENUM enum : unsigned int
#else
#define VCSM_ENUM enum
#endif

/* What vcsm_status() prints. */
typedef VCSM_ENUM{
    VCSM_STATUS_VC_WALK_ALLOC = 0,       /* the blocks of all processes */
    VCSM_STATUS_HOST_WALK_MAP = 1,       /* the mappings of all processes */
    VCSM_STATUS_HOST_WALK_PID_MAP = 2,   /* the mappings of one process */
    VCSM_STATUS_HOST_WALK_PID_ALLOC = 3, /* the blocks of one process */
    VCSM_STATUS_VC_MAP_ALL = 4,          /* the blocks and mappings of all processes */
    VCSM_STATUS_NONE = 5                 /* nothing */
} VCSM_STATUS_T;

/* Who caches a block. Adding 0x80 in vcsm_malloc_cache() has the block's pages ready before it returns. */
typedef VCSM_ENUM{
    VCSM_CACHE_TYPE_NONE = 0,       /* nobody: the CPU's reading is slow */
    VCSM_CACHE_TYPE_HOST = 1,       /* the CPU: locking and unlocking move the data */
    VCSM_CACHE_TYPE_VC = 2,         /* VideoCore */
    VCSM_CACHE_TYPE_HOST_AND_VC = 3 /* both */
} VCSM_CACHE_TYPE_T;

/* Starts the service. Calls count: as many of vcsm_exit() stop it. 0, or -1. */
int vcsm_init(void);

/* The same. want_export other than 0 asks for a device whose blocks can be exported as dma-bufs (-1 with ENOTSUP where
 * it has none). fd is -1, or a descriptor of the device to use, which stays the caller's: one of /dev/vcsm-cma, of
 * /dev/vcsm in 32-bit programs (open for reading and writing), or of a heap in /dev/dma_heap. EBADF for one that is not
 * open, ENODEV for one of anything else. A service that runs already goes on as it is, whatever fd is. */
int vcsm_init_ex(int want_export, int fd);

/* Lets go of the service once. The last call frees every block of this process, locked or not: handles and addresses
 * from before are dead. Nothing happens where vcsm_init() has not been called as often. */
void vcsm_exit(void);

/* Prints to standard error. pid is a process, or -1 for this one; it is for the two that speak of one. */
void vcsm_status(VCSM_STATUS_T status, int pid);

/* A new block of size bytes, zero, which the CPU does not cache. name is for people and may be NULL; the kernel keeps
 * 31 bytes of it. A handle, or 0: EINVAL for a size of 0, ENOMEM where there is no room. */
unsigned int vcsm_malloc(unsigned int size, const char* name);

/* The same with a cache mode. A device that cannot give it gives another. EINVAL for a mode that is none. */
unsigned int vcsm_malloc_cache(unsigned int size, VCSM_CACHE_TYPE_T cache, const char* name);

/* A second handle to the same block, which is freed with the last of them. A handle, or 0. */
unsigned int vcsm_malloc_share(unsigned int handle);

/* Frees a handle, and with the last handle its block, locked or not. A handle that is none is ignored. VideoCore may
 * go on using the memory for as long as it holds it. */
void vcsm_free(unsigned int handle);

/* Another size. The content is kept up to the smaller of both, the rest is zero; the address, VideoCore's handle and
 * the bus address become others, for all handles of the block. 0; or -EINVAL, -EBUSY (it is locked), -ENOMEM, and then
 * the block is as it was. */
int vcsm_resize(unsigned int handle, unsigned int new_size);

/* VideoCore's number for the block, or 0: EINVAL, or ENOTSUP on devices of which VideoCore does not know. An address
 * may be any in the block. */
unsigned int vcsm_vc_hdl_from_ptr(void* usr_ptr);
unsigned int vcsm_vc_hdl_from_hdl(unsigned int handle);

/* Where VideoCore sees the block, or 0: EINVAL, ENOTSUP, or EOVERFLOW for an address that does not fit into 32 bits. */
unsigned int vcsm_vc_addr_from_hdl(unsigned int handle);

/* The handle of the block that has that address in it, or 0. */
unsigned int vcsm_usr_handle(void* usr_ptr);

/* The CPU's address of the block, locked or not, or NULL (EINVAL, ENOMEM). Nobody may touch it without a lock. The
 * block has an address from the first time that it is asked for or locked, or from the start with
 * VCSM_CACHE_TYPE_PINNED. */
void* vcsm_usr_address(unsigned int handle);

/* Locks the block for the CPU: the address of its first byte, or NULL (EINVAL; at the first lock ENOMEM, where the
 * process has no room left for its addresses; what the device refuses with). Locks count. */
void* vcsm_lock(unsigned int handle);

/* The same, and has the CPU cache the block (HOST, HOST_AND_VC) or not; whether VideoCore does never changes. The block
 * keeps its mode where the device has no other for it, while it is locked, and once the program has asked for its
 * VideoCore handle, its bus address or a descriptor; *cache_result, unless cache_result is NULL, tells the mode that it
 * has. Changing the mode changes the address. */
void* vcsm_lock_cache(unsigned int handle, VCSM_CACHE_TYPE_T cache_update, VCSM_CACHE_TYPE_T* cache_result);

/* Unlock, so that VideoCore sees what was written. 0; or -EINVAL (no block), -EPERM (it is not locked), or what kept
 * the data from VideoCore, and then it is unlocked all the same. An address may be any in the block. */
int vcsm_unlock_ptr(void* usr_ptr);
int vcsm_unlock_hdl(unsigned int handle);

/* The same; with cache_no_flush other than 0 the CPU's cache keeps what was written. */
int vcsm_unlock_ptr_sp(void* usr_ptr, int cache_no_flush);
int vcsm_unlock_hdl_sp(unsigned int handle, int cache_no_flush);

#define VCSM_MAX_CLEAN_INVALIDATE_ENTRIES 8

/* Ranges of blocks: cmd 0 ends the list, 1 has the CPU forget what it caches of the range, 2 has it write back what it
 * changed, 3 both. addr is the CPU's address; where addresses have 64 bits it is the lower half of one in the block. */
struct vcsm_user_clean_invalid_s {
    struct {
        unsigned int cmd;
        unsigned int handle;
        unsigned int addr;
        unsigned int size;
    } s[VCSM_MAX_CLEAN_INVALIDATE_ENTRIES];
};

/* 0, or -EINVAL for a range that is in no block or for another cmd: then nothing was done. Or what a device refused. */
int vcsm_clean_invalid(struct vcsm_user_clean_invalid_s* s);

/* op_count strided ranges: block_count times block_size bytes, each inter_block_stride bytes after the one before.
 * invalidate_mode is as cmd above, but 0 leaves out its entry alone. */
struct vcsm_user_clean_invalid2_s {
    unsigned char op_count;
    unsigned char zero[3];
    __extension__ struct vcsm_user_clean_invalid2_block_s {
        unsigned short invalidate_mode;
        unsigned short block_count;
        void* start_address;
        unsigned int block_size;
        unsigned int inter_block_stride;
    } s[0];
};

/* 0, or -EINVAL for a range that is not wholly in one block, a block_size of 0 or another mode: then nothing was done.
 * Or what a device refused. */
int vcsm_clean_invalid2(struct vcsm_user_clean_invalid2_s* s);

/* Makes the memory behind a dma-buf known to VideoCore. The descriptor stays the caller's. A handle, or 0: EBADF for
 * one that is not open, EINVAL for one of anything else, ENOTSUP where the device has no dma-bufs. A descriptor of one
 * of this process's blocks gives a second handle to it. */
unsigned int vcsm_import_dmabuf(int dmabuf, const char* name);

/* A new descriptor of the block, close-on-exec, which the caller closes; the memory lives until then. Or a negative
 * errno: -EINVAL (no block), -ENOTSUP where the device has no dma-bufs. */
int vcsm_export_dmabuf(unsigned int vcsm_handle);

#undef VCSM_ENUM

#ifdef __cplusplus
}
#endif

#endif /* INTERFACE_VCSM_USER_VCSM_H */
