/* As programs use it that were written for the library of old; the line that includes the header is put before it. */
#include <stdio.h>
#include <string.h>

int main(void) {
    unsigned int handle;
    void* memory;
    if (vcsm_init() != 0) {
        fprintf(stderr, "vcsm_init failed\n");
        return 1;
    }
    handle = vcsm_malloc_cache(4096, VCSM_CACHE_TYPE_HOST, "of old");
    memory = vcsm_lock(handle);
    if (handle == 0 || memory == NULL) {
        fprintf(stderr, "no block\n");
        return 1;
    }
    memset(memory, 42, 4096);
    if (vcsm_unlock_ptr(memory) != 0 || vcsm_vc_hdl_from_hdl(handle) == 0 || vcsm_vc_addr_from_hdl(handle) == 0) {
        fprintf(stderr, "no VideoCore handle\n");
        return 1;
    }
    vcsm_free(handle);
    vcsm_exit();
    return 0;
}
