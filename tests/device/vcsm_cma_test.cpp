#include "device/vcsm_cma.hpp"

#include "device/descriptor_room.hpp"
#include "device/fake_drivers.hpp"
#include "errno_of.hpp"

#include <csignal>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using vcsm::cache_mode;
using vcsm::device::direction;

constexpr unsigned long alloc_number = 0x80404a5a;
constexpr unsigned long import_number = 0x80404a5b;
constexpr unsigned long sync_number = 0x40086200;

// The record of mapping so many bytes of a dma-buf.
std::string mapped(std::size_t bytes) {
    return "mmap dma-buf " + std::to_string(fakes::in_pages(bytes)) + " shared at 0";
}

class vcsm_cma : public testing::Test {
  protected:
    void open() {
        device_ = vcsm::device::open_vcsm_cma();
        in_.forget();
        opened_ = in_.open_descriptors();
    }
    /// What is open beyond the device's own descriptors.
    [[nodiscard]] std::size_t left_open() const { return in_.open_descriptors() - opened_; }
    void expect_nothing_left(const std::string& after) {
        EXPECT_EQ(left_open(), 0U) << after;
        EXPECT_EQ(in_.mapped_bytes(), 0U) << after;
        EXPECT_EQ(driver_.blocks.count(), 0U) << after;
        EXPECT_THAT(in_.crashes, IsEmpty()) << after;
    }
    [[nodiscard]] int foreign(const std::string& exporter, std::size_t bytes = 8192) {
        foreign_ = fakes::make_dma_buf(in_, exporter, bytes);
        ++opened_;
        return in_.install(foreign_);
    }
    int refusal_of(int descriptor) {
        return vcsm_tests::errno_of([&] { (void)device_->import_dmabuf(descriptor, "x"); }, &said_);
    }

    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    fakes::vcsm_cma_driver driver_{in_};
    std::shared_ptr<fakes::dma_buf> foreign_;
    std::unique_ptr<vcsm::device::device> device_;
    std::size_t opened_ = 0;
    std::string said_;
};

class vcsm_cma_with_heap : public vcsm_cma {
  protected:
    fakes::heap_driver heap_{in_, "linux,cma", true};
};

TEST_F(vcsm_cma, the_node_is_opened_close_on_exec_and_asked_for_nothing_that_allocates) {
    device_ = vcsm::device::open_vcsm_cma();
    EXPECT_EQ(in_.log.at(0), "open /dev/vcsm-cma rw cloexec");
    EXPECT_EQ(in_.log.at(1), "ioctl /dev/vcsm-cma 80084a5c");
    EXPECT_EQ(in_.requests.at(0).argument, "00000000 00000000");
    device_.reset();
    EXPECT_EQ(in_.open_descriptors(), 0U);
}

TEST_F(vcsm_cma, a_node_that_is_a_plain_file_is_refused) {
    in_.add_text("/dev/text", "");
    fakes::kernel other;
    const vcsm::kernel::scoped_calls others_in_force{other};
    other.add_text("/dev/vcsm-cma", "not a device");
    try {
        const auto device = vcsm::device::open_vcsm_cma();
        FAIL() << "opened";
    } catch (const vcsm::error& refused) {
        EXPECT_EQ(refused.code().value(), ENOTTY);
        EXPECT_THAT(refused.what(), HasSubstr("no vcsm-cma device"));
    }
    EXPECT_EQ(other.open_descriptors(), 0U);
}

TEST_F(vcsm_cma, a_node_that_cannot_be_opened_says_why) {
    for (const int value : {ENOENT, EACCES, EPERM, EBUSY, ENODEV}) {
        in_.refuse("/dev/vcsm-cma", value);
        try {
            const auto device = vcsm::device::open_vcsm_cma();
            FAIL() << "opened";
        } catch (const vcsm::error& refused) {
            EXPECT_EQ(refused.code().value(), value);
            EXPECT_THAT(refused.what(), HasSubstr("/dev/vcsm-cma"));
        }
    }
}

TEST_F(vcsm_cma, an_uncached_block_is_one_allocation_of_the_driver) {
    open();
    const auto block = device_->allocate({5000, "ls_grid", cache_mode::none, 1});
    EXPECT_THAT(in_.log, ElementsAre("ioctl /dev/vcsm-cma 80404a5a", fakes::set_name_call()));
    EXPECT_THAT(in_.arguments_of(alloc_number),
                ElementsAre(fakes::word(fakes::in_pages(5000)) +
                            " 01000000 00000000 00000000 "
                            "6c735f67 72696400 00000000 00000000 00000000 00000000 00000000 00000000 "
                            "ffffffff 00000000 00000000 00000000"));
    EXPECT_EQ(block->capacity(), fakes::in_pages(5000));
    EXPECT_EQ(block->granted_cache(), cache_mode::none);
    EXPECT_EQ(block->videocore_handle(), 1U);
    EXPECT_EQ(block->bus_address(), 0xc2000000U);
    EXPECT_NE(::fcntl(block->dmabuf(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(driver_.blocks.last()->name, "ls_grid");
    EXPECT_EQ(left_open(), 1U);
}

TEST_F(vcsm_cma, a_name_is_cut_to_31_bytes_and_always_ends) {
    open();
    const std::string name(100, 'n');
    const auto block = device_->allocate({1, name, cache_mode::none, 1});
    std::string expected;
    for (int word = 0; word != 7; ++word) {
        expected += "6e6e6e6e ";
    }
    EXPECT_THAT(in_.arguments_of(alloc_number).at(0), HasSubstr(expected + "6e6e6e00 ffffffff"));
    EXPECT_EQ(driver_.blocks.last()->name, std::string(31, 'n'));
}

TEST_F(vcsm_cma, a_bus_address_above_32_bits_is_kept_whole) {
    driver_.next_bus_address = 0x5c0000000;
    open();
    EXPECT_EQ(device_->allocate({1, "", cache_mode::none, 1})->bus_address(), 0x5c0000000U);
}

TEST_F(vcsm_cma, locking_an_uncached_block_is_no_system_call) {
    open();
    const auto block = device_->allocate({4096, "x", cache_mode::none, 1});
    in_.forget();
    for (const direction way : {direction::read, direction::write, direction::read_write}) {
        block->begin_access(way);
        block->end_access(way);
    }
    EXPECT_THAT(in_.log, IsEmpty());
    EXPECT_TRUE(block->accesses_at_once());
}

TEST_F(vcsm_cma, releasing_closes_the_descriptor_and_the_end_unmaps) {
    open();
    auto block = device_->allocate({4096, "x", cache_mode::none, 1});
    (void)block->map();
    in_.forget();
    block->release();
    EXPECT_THAT(in_.log, ElementsAre("close dma-buf"));
    block->data()[4095] = std::byte{1}; // whoever still looks at it may
    block.reset();
    EXPECT_THAT(in_.log, ElementsAre("close dma-buf", "munmap " + std::to_string(fakes::in_pages(4096))));
    expect_nothing_left("the end");
}

TEST_F(vcsm_cma, a_forks_child_closes_what_it_inherited_and_tells_nobody) {
    open();
    auto block = device_->allocate({4096, "x", cache_mode::none, 1});
    in_.forget();
    block->abandon();
    block.reset();
    device_->abandon();
    EXPECT_THAT(in_.log, ElementsAre("close dma-buf", "close /dev/vcsm-cma"));
}

TEST_F(vcsm_cma, each_refusal_of_the_driver_is_passed_on_and_leaves_nothing) {
    open();
    in_.add_text("/proc/meminfo", "MemTotal: 900000 kB\nCmaTotal:  65536 kB\nCmaFree:      96 kB\n");
    for (const int value : {ENOMEM, EINVAL, EFAULT, EPERM, ENXIO}) {
        in_.fail_next("ioctl 80404a5a", {value});
        try {
            const auto block = device_->allocate({3000000, "frame", cache_mode::none, 1});
            FAIL() << "allocated";
        } catch (const vcsm::error& refused) {
            EXPECT_EQ(refused.code().value(), value);
            EXPECT_THAT(refused.what(), HasSubstr("\"frame\" of 3000000 bytes on vcsm-cma"));
            EXPECT_EQ(dynamic_cast<const vcsm::out_of_memory*>(&refused) != nullptr, value == ENOMEM);
            if (value == ENOMEM) {
                EXPECT_THAT(refused.what(), HasSubstr("98304 of 67108864 bytes"));
            }
        }
        expect_nothing_left("errno " + std::to_string(value));
    }
}

TEST_F(vcsm_cma, an_interrupted_call_is_repeated_with_the_same_bytes) {
    open();
    in_.fail_next("ioctl 80404a5a", {EINTR, EAGAIN});
    const auto block = device_->allocate({4096, "x", cache_mode::none, 1});
    const auto sent = in_.arguments_of(alloc_number);
    ASSERT_EQ(sent.size(), 3U);
    EXPECT_EQ(sent[0], sent[1]);
    EXPECT_EQ(sent[0], sent[2]);
}

TEST_F(vcsm_cma, the_largest_block_is_a_page_below_2_gib) {
    open();
    EXPECT_EQ(device_->max_bytes(), 0x80000000U - static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
    EXPECT_THROW((void)device_->allocate({device_->max_bytes(), "", cache_mode::none, 1}), vcsm::out_of_memory);
}

TEST_F(vcsm_cma, memory_that_is_not_aligned_as_wanted_is_not_given) {
    driver_.next_bus_address = 0xc2001000;
    open();
    EXPECT_THROW((void)device_->allocate({4096, "x", cache_mode::none, 65536}), vcsm::error);
    expect_nothing_left("refusing");
    driver_.next_bus_address = 0xc2010000;
    EXPECT_EQ(device_->allocate({4096, "x", cache_mode::none, 65536})->bus_address() % 65536, 0U);
}

TEST_F(vcsm_cma, without_a_heap_a_cached_block_is_uncached_and_says_so) {
    open();
    EXPECT_FALSE(device_->gives().host_cache);
    const auto block = device_->allocate({4096, "x", cache_mode::host, 1});
    EXPECT_EQ(block->granted_cache(), cache_mode::none);
    EXPECT_EQ(in_.arguments_of(alloc_number).size(), 1U);
}

TEST_F(vcsm_cma_with_heap, a_cached_block_is_the_heaps_memory_that_the_driver_imports) {
    open();
    EXPECT_TRUE(device_->gives().host_cache);
    const auto block = device_->allocate({5000, "frame", cache_mode::host, 1});
    EXPECT_THAT(in_.log, ElementsAre("ioctl /dev/dma_heap/linux,cma c0184800", "ioctl /dev/vcsm-cma 80404a5b",
                                     mapped(1), "close dma-buf", fakes::set_name_call()));
    EXPECT_THAT(in_.arguments_of(0xc0184800),
                ElementsAre(fakes::word(fakes::in_pages(5000)) + " 00000000 00000000 02000800 00000000 00000000"));
    EXPECT_EQ(in_.arguments_of(import_number).at(0).substr(9), // behind the descriptor
              "00000000 6672616d 65000000 00000000 00000000 00000000 00000000 00000000 00000000 "
              "ffffffff 00000000 00000000 00000000 00000000 00000000");
    EXPECT_EQ(block->granted_cache(), cache_mode::host);
    EXPECT_EQ(block->videocore_handle(), 1U);
    EXPECT_EQ(block->bus_address(), 0xc2000000U);
    EXPECT_EQ(in_.at(block->dmabuf()), heap_.blocks.last()) << "what is exported can be imported anywhere";
    EXPECT_EQ(left_open(), 1U) << "VideoCore's import is held by a mapping";
}

TEST_F(vcsm_cma_with_heap, locking_a_cached_block_brackets_on_the_heaps_descriptor) {
    open();
    const auto block = device_->allocate({4096, "x", cache_mode::both, 1});
    in_.forget();
    block->begin_access(direction::read_write);
    block->end_access(direction::write);
    block->end_access(direction::read_write);
    block->begin_access(direction::write);
    block->end_access(direction::read);
    EXPECT_THAT(in_.arguments_of(sync_number),
                ElementsAre("03000000 00000000", "06000000 00000000", "07000000 00000000", "02000000 00000000",
                            "05000000 00000000"));
    EXPECT_EQ(heap_.blocks.last()->syncs.size(), 5U);
    EXPECT_TRUE(driver_.blocks.last()->syncs.empty());
    EXPECT_EQ(block->granted_cache(), cache_mode::host) << "nothing makes VideoCore cache it";
}

TEST_F(vcsm_cma_with_heap, a_lock_that_is_interrupted_is_repeated_and_one_that_fails_says_so) {
    open();
    const auto block = device_->allocate({4096, "x", cache_mode::host, 1});
    in_.fail_next("ioctl 40086200", {EINTR, EAGAIN, EINTR});
    block->begin_access(direction::read);
    EXPECT_EQ(heap_.blocks.last()->syncs.size(), 1U);
    for (const int value : {ENOTTY, EFAULT, EIO}) {
        in_.fail_next("ioctl 40086200", {value});
        EXPECT_THROW(block->begin_access(direction::read), vcsm::error);
        in_.fail_next("ioctl 40086200", {value});
        EXPECT_THROW(block->end_access(direction::write), vcsm::error);
    }
}

TEST_F(vcsm_cma_with_heap, releasing_a_cached_block_takes_videocores_handle_at_once) {
    open();
    auto block = device_->allocate({4096, "x", cache_mode::host, 1});
    block->map()[7] = std::byte{42};
    block->release();
    EXPECT_EQ(driver_.blocks.count(), 0U);
    EXPECT_EQ(left_open(), 0U);
    EXPECT_EQ(block->data()[7], std::byte{42}) << "the memory stays for those who still look at it";
    block->end_access(direction::write); // ends nothing any more
    block.reset();
    expect_nothing_left("the end");
    EXPECT_EQ(heap_.blocks.count(), 0U);
}

TEST_F(vcsm_cma_with_heap, a_heap_that_is_not_contiguous_gives_an_uncached_block) {
    heap_.contiguous = false;
    open();
    auto block = device_->allocate({8192, "x", cache_mode::host, 1});
    EXPECT_EQ(block->granted_cache(), cache_mode::none);
    EXPECT_EQ(heap_.blocks.count(), 0U);
    block.reset();
    expect_nothing_left("the end");
}

TEST_F(vcsm_cma_with_heap, heaps_are_tried_by_each_of_their_names_in_order) {
    in_.refuse("/dev/dma_heap/linux,cma", ENOENT);
    const fakes::heap_driver newer{in_, "default_cma_region", true};
    device_ = vcsm::device::open_vcsm_cma();
    EXPECT_THAT(in_.log,
                testing::IsSupersetOf(
                    {"open /dev/dma_heap/vidbuf_cached r cloexec", "open /dev/dma_heap/linux,cma r cloexec",
                     "open /dev/dma_heap/reserved r cloexec", "open /dev/dma_heap/default_cma_region r cloexec"}));
    EXPECT_TRUE(device_->gives().host_cache);
}

TEST_F(vcsm_cma_with_heap, whichever_call_fails_nothing_is_left_and_nothing_crashes) {
    for (const cache_mode cache : {cache_mode::none, cache_mode::host}) {
        int refused = 0;
        for (int nth = 1;; ++nth) {
            in_.fail_at = 0;
            open();
            in_.calls_made = 0;
            in_.fail_at = nth;
            in_.fail_with = ENOMEM;
            std::unique_ptr<vcsm::device::memory> block;
            try {
                block = device_->allocate({8192, "x", cache, 1});
            } catch (const vcsm::error&) {
                ++refused;
            }
            if (block) {
                try {
                    (void)block->map();
                } catch (const vcsm::out_of_memory&) {
                    EXPECT_EQ(block->data(), nullptr);
                    EXPECT_NE(block->map(), nullptr) << "it can be tried again";
                }
            }
            const bool failed_one = in_.calls_made >= nth;
            block.reset();
            expect_nothing_left("failing call " + std::to_string(nth));
            EXPECT_EQ(heap_.blocks.count(), 0U);
            device_.reset();
            if (!failed_one) {
                break;
            }
        }
        EXPECT_EQ(refused != 0, cache == cache_mode::none) << "a cached block has the driver's memory to fall back on";
    }
}

// Import

TEST_F(vcsm_cma, an_import_is_proven_then_given_to_the_driver) {
    open();
    const int given = foreign("linux,cma");
    auto block = device_->import_dmabuf(given, "theirs");
    EXPECT_THAT(in_.log, ElementsAre("ioctl dma-buf 40086200", mapped(8192), "ioctl /dev/vcsm-cma 80404a5b", mapped(1),
                                     "close dma-buf"));
    EXPECT_THAT(in_.arguments_of(sync_number), ElementsAre("ffffffff ffffffff"));
    EXPECT_THAT(in_.arguments_of(import_number).at(0),
                HasSubstr(" 00000000 74686569 72730000 00000000 00000000 00000000 00000000 00000000 00000000 "
                          "ffffffff 00000000 00000000 00000000 00000000 00000000"));
    EXPECT_EQ(block->capacity(), fakes::in_pages(8192));
    EXPECT_EQ(block->videocore_handle(), 1U);
    EXPECT_EQ(block->granted_cache(), cache_mode::host);

    in_.close(given); // the source is the caller's, and may be closed
    --opened_;
    in_.forget();
    block->begin_access(direction::read);
    EXPECT_THAT(in_.arguments_of(sync_number), ElementsAre("01000000 00000000"));
    EXPECT_EQ(foreign_->syncs.size(), 1U);
    block.reset();
    expect_nothing_left("the end");
}

TEST_F(vcsm_cma, each_refusal_of_an_import_is_passed_on_and_leaves_nothing) {
    open();
    const int given = foreign("system");
    for (const int value : {ENOMEM, EFAULT, EINVAL, EPERM}) {
        in_.fail_next("ioctl 80404a5b", {value});
        EXPECT_EQ(refusal_of(given), value);
        expect_nothing_left("errno " + std::to_string(value));
    }
    foreign_->contiguous = false;
    EXPECT_EQ(refusal_of(given), ENOMEM);
    EXPECT_THAT(said_, HasSubstr("contiguous"));
    foreign_->mappable = false;
    EXPECT_EQ(refusal_of(given), ENODEV);
    expect_nothing_left("refusing");
}

TEST_F(vcsm_cma, whichever_call_of_an_import_fails_nothing_is_left_and_nothing_crashes) {
    open();
    const int given = foreign("linux,cma");
    for (int nth = 1;; ++nth) {
        in_.calls_made = 0;
        in_.fail_at = nth;
        in_.fail_with = EIO;
        (void)refusal_of(given);
        const bool failed_one = in_.calls_made >= nth;
        expect_nothing_left("failing call " + std::to_string(nth));
        if (!failed_one) {
            EXPECT_GT(nth, 5);
            break;
        }
    }
}

TEST_F(vcsm_cma_with_heap, a_block_knows_descriptors_of_itself_so_that_the_driver_is_not_asked_to_import_them) {
    open();
    for (const cache_mode cache : {cache_mode::none, cache_mode::host}) {
        const auto block = device_->allocate({4096, "x", cache, 1});
        const auto other = device_->allocate({4096, "y", cache, 1});
        const int second = in_.fcntl(block->dmabuf(), F_DUPFD_CLOEXEC, 0);
        EXPECT_TRUE(block->is(vcsm::device::identity_of(second).value()));
        EXPECT_FALSE(other->is(vcsm::device::identity_of(second).value()));
        in_.close(second);
    }
}

// What crashes a kernel. The fake driver writes each down in `crashes`.

TEST_F(vcsm_cma, only_a_proven_dma_buf_reaches_import) {
    open();
    in_.add_text("/dev/text", "text");
    const int text = in_.open("/dev/text", O_RDWR, 0);
    const int null = in_.open("/dev/null", O_RDWR, 0);
    const int node = in_.open("/dev/vcsm-cma", O_RDWR, 0); // answers EINVAL to what it does not know, as a dma-buf does
    const int memfd = in_.memfd_create("m", 0);
    int pipes[2] = {-1, -1};
    ASSERT_EQ(::pipe(pipes), 0);
    opened_ += 4;
    const int closed = ::dup(pipes[0]);
    ::close(closed);
    in_.forget();
    for (const int descriptor : {-1, -100, closed, 1 << 20, text, null, node, memfd, pipes[0], pipes[1]}) {
        const int refused = refusal_of(descriptor);
        EXPECT_TRUE(refused == EBADF || refused == EINVAL || refused == ENOENT) << descriptor << " " << said_;
        expect_nothing_left("descriptor " + std::to_string(descriptor));
    }
    EXPECT_THAT(in_.arguments_of(import_number), IsEmpty());
    EXPECT_THAT(in_.arguments_of(sync_number), IsEmpty()) << "not even asked, where /proc knows of no dma-buf";
    ::close(pipes[0]);
    ::close(pipes[1]);
}

TEST_F(vcsm_cma, without_proc_nothing_is_imported) {
    open();
    const int given = foreign("linux,cma");
    in_.proc_is_mounted = false;
    EXPECT_EQ(refusal_of(given), ENOENT);
    EXPECT_THAT(said_, HasSubstr("/proc"));
    EXPECT_THAT(in_.requests, IsEmpty());
    expect_nothing_left("refusing");
}

TEST_F(vcsm_cma, what_only_looks_like_a_dma_buf_in_proc_is_not_imported) {
    struct impostor final : fakes::object {
        std::string fdinfo() const override { return "size:\t4096\nexp_name:\tsystem\n"; }
    };
    open();
    auto fake = std::make_shared<impostor>();
    fake->kind = "impostor";
    fake->backing = fakes::make_memfd(4096);
    const int given = in_.install(fake);
    ++opened_;
    EXPECT_EQ(refusal_of(given), EINVAL);
    EXPECT_THAT(in_.arguments_of(import_number), IsEmpty());
    expect_nothing_left("refusing");
}

TEST_F(vcsm_cma, a_block_of_the_drivers_is_never_imported_again_nor_synchronised) {
    open();
    const auto theirs = fakes::make_dma_buf(in_, "vc_sm_cma", 8192); // another process's, by ALLOC
    theirs->made_by_alloc = true;
    const auto import_of_it = fakes::make_dma_buf(in_, "vc_sm_cma", 8192);
    import_of_it->imported = theirs;
    for (const auto& each : {theirs, import_of_it}) {
        const int given = in_.install(each);
        ++opened_;
        in_.forget();
        const auto block = device_->import_dmabuf(given, "x");
        block->begin_access(direction::read_write);
        block->data()[0] = std::byte{1};
        block->end_access(direction::read_write);
        EXPECT_THAT(in_.arguments_of(import_number), IsEmpty());
        EXPECT_THAT(in_.arguments_of(sync_number), ElementsAre("ffffffff ffffffff")) << "the proof touches nothing";
        EXPECT_TRUE(each->syncs.empty());
        EXPECT_THROW((void)block->videocore_handle(), vcsm::not_supported);
        EXPECT_THROW((void)block->bus_address(), vcsm::not_supported);
        EXPECT_THAT(in_.crashes, IsEmpty());
    }
}

TEST_F(vcsm_cma_with_heap, the_structs_of_calls_lie_in_writable_memory) {
    // First that the fake driver notices.
    constexpr unsigned long numbers[] = {alloc_number, import_number};
    void* const page = ::mmap(nullptr, fakes::in_pages(1), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    const int node = in_.open("/dev/vcsm-cma", O_RDWR, 0);
    for (const unsigned long number : numbers) {
        EXPECT_EQ(in_.ioctl(node, number, page), -1);
        EXPECT_EQ(errno, EFAULT);
    }
    in_.close(node);
    ::munmap(page, fakes::in_pages(1));
    EXPECT_EQ(in_.crashes.size(), 2U);
    in_.crashes.clear();

    open();
    (void)device_->allocate({4096, "by ALLOC", cache_mode::none, 1});
    (void)device_->allocate({4096, "by IMPORT", cache_mode::host, 1});
    EXPECT_EQ(in_.arguments_of(alloc_number).size(), 1U);
    EXPECT_EQ(in_.arguments_of(import_number).size(), 1U);
    expect_nothing_left("both calls");
}

TEST_F(vcsm_cma_with_heap, no_allocation_reaches_the_driver_without_free_descriptors) {
    open();
    for (const cache_mode cache : {cache_mode::none, cache_mode::host}) {
        bool given = false;
        for (std::size_t room = 0; !given; ++room) {
            in_.descriptor_limit = in_.open_descriptors() + room;
            try {
                const auto block = device_->allocate({4096, "x", cache, 1});
                given = true;
                EXPECT_GE(room, static_cast<std::size_t>(vcsm::device::spare_descriptors));
            } catch (const vcsm::error& refused) {
                EXPECT_EQ(refused.code().value(), EMFILE) << refused.what();
                EXPECT_THAT(refused.what(), HasSubstr("descriptors"));
            }
            EXPECT_THAT(in_.crashes, IsEmpty()) << room;
            EXPECT_EQ(left_open(), 0U);
            ASSERT_LT(room, 100U);
        }
        EXPECT_EQ(in_.arguments_of(alloc_number).size(), 1U);
        in_.forget();
        in_.descriptor_limit = 1000000;
    }
}

TEST_F(vcsm_cma, a_full_table_of_open_files_of_the_system_is_noticed_before_the_driver_is_asked) {
    open();
    in_.fail_next("open /dev/null", {ENFILE});
    try {
        (void)device_->allocate({4096, "x", cache_mode::none, 1});
        FAIL() << "allocated";
    } catch (const vcsm::error& refused) {
        EXPECT_EQ(refused.code().value(), ENFILE);
    }
    EXPECT_THAT(in_.requests, IsEmpty());
    expect_nothing_left("refusing");
}

TEST_F(vcsm_cma, a_table_of_open_files_that_may_be_full_by_now_is_tried_before_each_allocation) {
    // Nearly full; full; not told.
    for (const char* const text : {"99990\t0\t100000\n", "100000\t0\t100000\n", "100001\t0\t100000\n", "?\n"}) {
        in_.add_text("/proc/sys/fs/file-nr", text);
        open();
        for (int i = 0; i != 2; ++i) {
            EXPECT_NO_THROW((void)device_->allocate({4096, "x", cache_mode::none, 1})) << text;
            in_.forget();
            in_.fail_next("open /dev/null", {ENFILE});
            EXPECT_THROW((void)device_->allocate({4096, "x", cache_mode::none, 1}), vcsm::error) << text;
            EXPECT_THAT(in_.requests, IsEmpty()) << text;
        }
        device_.reset();
    }
}

TEST_F(vcsm_cma, descriptors_are_counted_before_each_allocation_however_empty_the_systems_table_is) {
    in_.add_text("/proc/sys/fs/file-nr", "1000\t0\t9223372036854775807\n");
    open();
    for (int i = 0; i != 3; ++i) {
        EXPECT_NO_THROW((void)device_->allocate({4096, "x", cache_mode::none, 1}));
        in_.forget();
        in_.descriptor_limit = in_.open_descriptors() + vcsm::device::spare_descriptors - 1;
        EXPECT_THROW((void)device_->allocate({4096, "x", cache_mode::none, 1}), vcsm::error);
        EXPECT_THAT(in_.requests, IsEmpty());
        in_.descriptor_limit = 1000000;
    }
    EXPECT_THAT(in_.crashes, IsEmpty());
}

TEST_F(vcsm_cma, signals_wait_while_the_driver_allocates_and_come_afterwards) {
    open();
    sigset_t before;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    { const auto block = device_->allocate({4096, "x", cache_mode::none, 1}); }
    in_.fail_next("ioctl 80404a5a", {ENOMEM});
    EXPECT_THROW((void)device_->allocate({4096, "x", cache_mode::none, 1}), vcsm::error);
    EXPECT_THAT(in_.crashes, IsEmpty());
    sigset_t after;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (int signal = 1; signal != 32; ++signal) {
        EXPECT_EQ(::sigismember(&before, signal), ::sigismember(&after, signal)) << signal;
    }
}

} // namespace
