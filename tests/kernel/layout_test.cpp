// The bytes that go to the kernel and come back, held against what the drivers' own headers were computed to be. Each
// header says the same with static_assert; here the structs are filled in and looked at as the kernel sees them.
#include "kernel/dma_buf.hpp"
#include "kernel/dma_heap.hpp"
#include "kernel/drm.hpp"
#include "kernel/mailbox.hpp"
#include "kernel/udmabuf.hpp"
#include "kernel/vcsm_cma.hpp"
#include "kernel/vcsm_legacy.hpp"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kernel = vcsm::kernel;

namespace {

/// What a struct holds, byte by byte, in hexadecimal; a space after each 4 bytes.
template <class Struct>
std::string bytes_of(const Struct& given) {
    static const char* const digits = "0123456789abcdef";
    const auto* const at = reinterpret_cast<const unsigned char*>(&given);
    std::string text;
    for (std::size_t i = 0; i != sizeof given; ++i) {
        text += digits[at[i] >> 4U];
        text += digits[at[i] & 15U];
        if (i % 4 == 3 && i + 1 != sizeof given) {
            text += ' ';
        }
    }
    return text;
}

TEST(layout, an_allocation_by_vcsm_cma_lies_as_the_driver_reads_it) {
    kernel::vcsm_cma::alloc call{};
    call.size = 0x11121314;
    call.num = 0x21222324;
    call.cached = 0x31323334;
    call.pad = 0x41424344;
    std::memcpy(call.name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", sizeof call.name);
    call.handle = -1;
    call.vc_handle = 0x51525354;
    call.dma_addr = 0x6162636465666768;
    EXPECT_EQ(bytes_of(call), "14131211 24232221 34333231 44434241 "
                              "41424344 45464748 494a4b4c 4d4e4f50 51525354 55565758 595a6162 63646566 "
                              "ffffffff 54535251 68676665 64636261");
}

TEST(layout, an_import_by_vcsm_cma_lies_as_the_driver_reads_it) {
    kernel::vcsm_cma::import_dmabuf call{};
    call.dmabuf_fd = 0x11121314;
    call.cached = 0x21222324;
    std::memcpy(call.name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", sizeof call.name);
    call.handle = -1;
    call.vc_handle = 0x31323334;
    call.size = 0x41424344;
    call.pad = 0x51525354;
    call.dma_addr = 0x6162636465666768;
    EXPECT_EQ(bytes_of(call), "14131211 24232221 "
                              "41424344 45464748 494a4b4c 4d4e4f50 51525354 55565758 595a6162 63646566 "
                              "ffffffff 34333231 44434241 54535251 68676665 64636261");
}

TEST(layout, an_allocation_by_the_legacy_driver_lies_as_the_driver_reads_it) {
    kernel::vcsm_legacy::alloc call{};
    call.size = 0x11121314;
    call.num = 0x21222324;
    call.cached = 0x31323334;
    std::memcpy(call.name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", sizeof call.name);
    call.handle = 0x51525354;
    EXPECT_EQ(bytes_of(call), "14131211 24232221 34333231 "
                              "41424344 45464748 494a4b4c 4d4e4f50 51525354 55565758 595a6162 63646566 54535251");
}

TEST(layout, an_import_by_the_legacy_driver_lies_as_the_driver_reads_it) {
    kernel::vcsm_legacy::import_dmabuf call{};
    call.dmabuf_fd = 0x11121314;
    call.cached = 0x21222324;
    std::memcpy(call.name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", sizeof call.name);
    call.handle = 0x51525354;
    EXPECT_EQ(bytes_of(call), "14131211 24232221 "
                              "41424344 45464748 494a4b4c 4d4e4f50 51525354 55565758 595a6162 63646566 54535251");
}

TEST(layout, strided_ranges_lie_as_programs_of_32_and_of_64_bits_send_them) {
    const kernel::vcsm_cma::clean_invalid2_entry_32 cma_32{1, 2, 0x31323334, 4, 5};
    EXPECT_EQ(bytes_of(cma_32), "01000000 02000000 34333231 04000000 05000000");
    const kernel::vcsm_cma::clean_invalid2_entry_64 cma_64{1, 2, 0x3132333435363738, 4, 5};
    EXPECT_EQ(bytes_of(cma_64), "01000000 02000000 38373635 34333231 04000000 05000000");
    const kernel::vcsm_legacy::clean_invalid2_entry_32 legacy_32{1, 2, 0x31323334, 4, 5};
    EXPECT_EQ(bytes_of(legacy_32), "01000200 34333231 04000000 05000000");
    kernel::vcsm_legacy::clean_invalid2_entry_64 legacy_64;
    std::memset(&legacy_64, 0, sizeof legacy_64);
    legacy_64.mode = 1;
    legacy_64.block_count = 2;
    legacy_64.start_address = 0x3132333435363738;
    legacy_64.block_size = 4;
    legacy_64.inter_block_stride = 5;
    EXPECT_EQ(bytes_of(legacy_64), "01000200 00000000 38373635 34333231 04000000 05000000");
}

TEST(layout, a_question_to_the_mailbox_is_one_property_between_a_head_and_an_end) {
    kernel::mailbox::buffer<3> question;
    question.property = static_cast<std::uint32_t>(kernel::mailbox::tag::allocate_memory);
    question.values = {0x2000, 0x1000, 0x14};
    EXPECT_EQ(bytes_of(question), "24000000 00000000 0c000300 0c000000 00000000 00200000 00100000 14000000 00000000");
}

TEST(layout, each_request_has_its_number) {
    struct line {
        const char* what;
        unsigned long ours;
        unsigned long kernels;
    };
    const bool narrow = sizeof(void*) == 4;
    const std::vector<line> lines{
        {"vcsm-cma MEM_ALLOC", kernel::vcsm_cma::mem_alloc, 0x80404a5a},
        {"vcsm-cma MEM_IMPORT_DMABUF", kernel::vcsm_cma::mem_import_dmabuf, 0x80404a5b},
        {"vcsm-cma MEM_CLEAN_INVALID2", kernel::vcsm_cma::mem_clean_invalid2, 0x80084a5c},
        {"vcsm MEM_ALLOC", kernel::vcsm_legacy::mem_alloc, 0x8030495a},
        {"vcsm MEM_ALLOC_SHARE", kernel::vcsm_legacy::mem_alloc_share, 0x8008495b},
        {"vcsm MEM_LOCK", kernel::vcsm_legacy::mem_lock, 0x8008495c},
        {"vcsm MEM_LOCK_CACHE", kernel::vcsm_legacy::mem_lock_cache, 0x8008495d},
        {"vcsm MEM_UNLOCK", kernel::vcsm_legacy::mem_unlock, 0x8008495e},
        {"vcsm MEM_RESIZE", kernel::vcsm_legacy::mem_resize, 0x800c495f},
        {"vcsm MEM_FREE", kernel::vcsm_legacy::mem_free, 0x80044961},
        {"vcsm MEM_FLUSH", kernel::vcsm_legacy::mem_flush, 0x800c4962},
        {"vcsm MEM_INVALID", kernel::vcsm_legacy::mem_invalid, 0x800c4963},
        {"vcsm SIZE_USR_HDL", kernel::vcsm_legacy::size_usr_hdl, 0x80084964},
        {"vcsm CHK_USR_HDL", kernel::vcsm_legacy::chk_usr_hdl, 0x80104965},
        {"vcsm MAP_USR_HDL", kernel::vcsm_legacy::map_usr_hdl, 0x80104966},
        {"vcsm MAP_VC_ADDR_FR_HDL", kernel::vcsm_legacy::map_vc_addr_fr_hdl, 0x8010496a},
        {"vcsm VC_WALK_ALLOC", kernel::vcsm_legacy::vc_walk_alloc, 0x496b},
        {"vcsm HOST_WALK_MAP", kernel::vcsm_legacy::host_walk_map, 0x496c},
        {"vcsm HOST_WALK_PID_ALLOC", kernel::vcsm_legacy::host_walk_pid_alloc, 0x8004496d},
        {"vcsm HOST_WALK_PID_MAP", kernel::vcsm_legacy::host_walk_pid_map, 0x8004496e},
        {"vcsm MEM_CLEAN_INVALID", kernel::vcsm_legacy::mem_clean_invalid, 0x8080496f},
        {"vcsm MEM_CLEAN_INVALID2, 32 bits", kernel::vcsm_legacy::mem_clean_invalid2_32, 0x80044970},
        {"vcsm MEM_CLEAN_INVALID2, 64 bits", kernel::vcsm_legacy::mem_clean_invalid2_64, 0x80084970},
        {"vcsm MEM_IMPORT_DMABUF", kernel::vcsm_legacy::mem_import_dmabuf, 0x802c4971},
        {"DMA_BUF_IOCTL_SYNC", kernel::dma_buf::sync, 0x40086200},
        {"DMA_BUF_SET_NAME, 32 bits", kernel::dma_buf::set_name_a, 0x40046201},
        {"DMA_BUF_SET_NAME, 64 bits", kernel::dma_buf::set_name_b, 0x40086201},
        {"DMA_HEAP_IOCTL_ALLOC", kernel::dma_heap::alloc, 0xc0184800},
        {"UDMABUF_CREATE", kernel::udmabuf::create, 0x40187542},
        {"vcio property", kernel::mailbox::property, narrow ? 0xc0046400 : 0xc0086400},
        {"DRM_IOCTL_VERSION", kernel::drm::version, narrow ? 0xc0246400 : 0xc0406400},
        {"DRM_IOCTL_GEM_CLOSE", kernel::drm::gem_close, 0x40086409},
        {"DRM_IOCTL_PRIME_HANDLE_TO_FD", kernel::drm::prime_handle_to_fd, 0xc00c642d},
        {"DRM_IOCTL_PRIME_FD_TO_HANDLE", kernel::drm::prime_fd_to_handle, 0xc00c642e},
        {"DRM_IOCTL_V3D_WAIT_BO", kernel::v3d::wait_bo_request, 0xc0106441},
        {"DRM_IOCTL_V3D_CREATE_BO", kernel::v3d::create_bo_request, 0xc0106442},
        {"DRM_IOCTL_V3D_MMAP_BO", kernel::v3d::mmap_bo_request, 0xc0106443},
        {"DRM_IOCTL_V3D_GET_BO_OFFSET", kernel::v3d::get_bo_offset_request, 0xc0086445},
        {"DRM_IOCTL_VC4_CREATE_BO", kernel::vc4::create_bo_request, 0xc0106443},
        {"DRM_IOCTL_VC4_MMAP_BO", kernel::vc4::mmap_bo_request, 0xc0106444},
    };
    for (const line& each : lines) {
        EXPECT_EQ(each.ours, each.kernels) << each.what;
    }
}

} // namespace
