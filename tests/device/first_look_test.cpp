// Memory is mapped when the CPU first wants to look at it: many a block is VideoCore's alone.
#include "service.hpp"

#include "device/fake_drivers.hpp"
#include "errno_of.hpp"
#include "in_threads.hpp"

#include <vcsm/vcsm.hpp>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/dma-heap.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

using testing::HasSubstr;
using vcsm::shared_memory;
using vcsm_tests::errno_of;
using vcsm_tests::in_threads;

vcsm::detail::service& service() {
    return vcsm::detail::service::instance();
}

std::uint32_t handle_at(const void* address) {
    return service().handles().handle_at(address);
}

class first_look : public testing::Test {
  protected:
    void SetUp() override { vcsm::use("vcsm-cma"); }
    void TearDown() override {
        vcsm::stop_service();
        EXPECT_EQ(driver_.blocks.count(), 0U);
        EXPECT_EQ(in_.open_descriptors(), 0U);
        EXPECT_EQ(in_.mapped_bytes(), 0U);
        EXPECT_TRUE(in_.crashes.empty());
    }

    fakes::kernel in_;
    vcsm::kernel::scoped_calls in_force_{in_};
    fakes::vcsm_cma_driver driver_{in_};
    fakes::heap_driver heap_{in_, "linux,cma", true};
};

TEST_F(first_look, is_what_maps_a_block_and_not_the_allocation) {
    for (const auto cache : {vcsm::cache_mode::none, vcsm::cache_mode::host}) {
        const shared_memory block{5000, "frame", {cache, 1}};
        const std::size_t before = in_.mapped_bytes(); // the driver's import of a cached one
        EXPECT_LE(before, fakes::in_pages(1));
        EXPECT_NE(block.videocore_handle(), 0U);
        EXPECT_NE(block.bus_address(), 0U);
        EXPECT_GE(block.dmabuf(), 0);
        EXPECT_EQ(block.capacity(), fakes::in_pages(5000));
        EXPECT_EQ(in_.mapped_bytes(), before) << "asking is not looking";
        const auto seen = block.lock(vcsm::access::read);
        EXPECT_EQ(in_.mapped_bytes(), before + fakes::in_pages(5000));
        EXPECT_EQ(seen[4999], std::byte{0});
        const auto again = block.lock(vcsm::access::read);
        EXPECT_EQ(again.data(), seen.data());
        EXPECT_EQ(in_.mapped_bytes(), before + fakes::in_pages(5000)) << "once";
    }
}

TEST_F(first_look, has_the_block_found_by_address_from_then_on_through_all_its_handles) {
    shared_memory first{5000, "frame"};
    shared_memory second = first.share();
    EXPECT_EQ(service().handles().address_of(first.handle()), nullptr);
    std::byte* const address = service().address(second.handle());
    ASSERT_NE(address, nullptr);
    EXPECT_EQ(service().address(first.handle()), address);
    EXPECT_EQ(service().handles().address_of(first.handle()), address);
    EXPECT_EQ(service().handles().address_of(second.handle()), address);
    shared_memory third = first.share();
    EXPECT_EQ(service().address(third.handle()), address);
    EXPECT_THAT(handle_at(address + 4999), testing::AnyOf(first.handle(), second.handle(), third.handle()));
    first.close();
    second.close();
    EXPECT_EQ(handle_at(address + 4999), third.handle());
    const std::uint32_t was = third.handle();
    third.close();
    EXPECT_EQ(handle_at(address + 4999), 0U);
    EXPECT_EQ(service().address(was), nullptr);
}

TEST_F(first_look, finds_a_block_that_was_freed_without_one_nowhere) {
    const void* address = nullptr;
    {
        const shared_memory seen{5000, "seen"};
        address = service().address(seen.handle());
    }
    { const shared_memory never{5000, "never looked at"}; }
    EXPECT_EQ(handle_at(address), 0U);
    EXPECT_EQ(in_.mapped_bytes(), 0U);
}

TEST_F(first_look, that_finds_no_room_fails_and_leaves_the_block_unlocked_for_another_try) {
    shared_memory block{5000, "frame"};
    const std::vector<std::byte> data(5000, std::byte{7});
    for (const char* const call : {"mmap", "madvise"}) {
        for (int face = 0; face != 4; ++face) {
            in_.fail_next(call, {ENOMEM});
            std::string said;
            const int refused = errno_of(
                [&] {
                    switch (face) {
                    case 0:
                        block.copy_from(data);
                        break;
                    case 1:
                        (void)block.lock(vcsm::access::read);
                        break;
                    case 2:
                        (void)service().lock(block.handle());
                        break;
                    default:
                        (void)service().address(block.handle());
                        break;
                    }
                },
                &said);
            EXPECT_EQ(refused, ENOMEM) << call << face;
            EXPECT_THAT(said, HasSubstr("cannot map block \"frame\" of " + std::to_string(fakes::in_pages(5000)) +
                                        " bytes on vcsm-cma"));
            EXPECT_THAT(said, HasSubstr("ulimit -v"));
            EXPECT_EQ(vcsm::blocks().front().locks, 0U) << call << face;
            EXPECT_EQ(in_.mapped_bytes(), 0U) << call << face;
        }
    }
    block.copy_from(data);
    std::vector<std::byte> read(5000);
    block.copy_to(read);
    EXPECT_EQ(read, data);
}

TEST_F(first_look, is_not_needed_to_resize_or_to_change_what_caches_the_block) {
    shared_memory block{5000, "frame"};
    EXPECT_EQ(service().change_cache(block.handle(), vcsm::cache_mode::host), vcsm::cache_mode::host);
    const std::byte* const cached = service().address(block.handle());
    ASSERT_NE(cached, nullptr);
    EXPECT_EQ(handle_at(cached + 100), block.handle());
    EXPECT_EQ(service().handles().address_of(block.handle()), cached);

    shared_memory another{5000, "another"};
    another.resize(20000);
    const std::byte* const moved = service().address(another.handle());
    EXPECT_EQ(handle_at(moved + 19999), another.handle());
    std::vector<std::byte> read(20000, std::byte{1});
    another.copy_to(read);
    EXPECT_EQ(read, std::vector<std::byte>(20000));
}

TEST_F(first_look, of_a_resize_that_failed_hides_the_block_from_nobody) {
    shared_memory block{5000, "frame", vcsm::cache_mode::host};
    in_.fail_next("ioctl 40086200", {EIO}); // the lock that the content is to be copied under
    EXPECT_EQ(errno_of([&] { block.resize(20000); }), EIO);
    const std::byte* const address = service().lock(block.handle());
    EXPECT_EQ(handle_at(address + 4999), block.handle());
    EXPECT_NO_THROW(service().unlock_at(address));
}

TEST_F(first_look, never_comes_to_a_block_of_a_stopped_service) {
    const shared_memory block{5000, "frame"};
    const std::uint32_t handle = block.handle();
    const std::shared_ptr<vcsm::detail::block> behind_it = vcsm::detail::inside::of(block)->shared();
    vcsm::stop_service();
    EXPECT_THROW((void)block.lock(vcsm::access::read), vcsm::no_block);
    EXPECT_THROW((void)behind_it->place(), vcsm::no_block) << "for who asked for it just before";
    EXPECT_EQ(service().address(handle), nullptr);
    vcsm::use("vcsm-cma");
}

/// A dma-heap of memfds that several threads may ask at once, which counts what is mapped of it.
class many_handed_heap final : public vcsm::kernel::calls {
  public:
    int open(const char* path, int flags, mode_t mode) override {
        return calls::open(path == std::string{"/dev/dma_heap/system"} ? "/dev/null" : path, flags, mode);
    }
    int ioctl(int, unsigned long request, void* argument) override {
        if (request != DMA_HEAP_IOCTL_ALLOC) {
            return 0; // synchronisations and names
        }
        auto& call = *static_cast<dma_heap_allocation_data*>(argument);
        if (call.len == 0) {
            errno = EINVAL;
            return -1;
        }
        const int made = calls::memfd_create("block", MFD_CLOEXEC);
        if (made < 0 || calls::ftruncate(made, static_cast<off_t>(call.len)) != 0) {
            return -1;
        }
        call.fd = static_cast<std::uint32_t>(made);
        return 0;
    }
    void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) override {
        mapped += (flags & MAP_SHARED) != 0 ? 1 : 0;
        return calls::mmap(address, bytes, protection, flags, descriptor, offset);
    }
    int munmap(void* address, std::size_t bytes) override {
        unmapped += 1;
        return calls::munmap(address, bytes);
    }

    std::atomic<int> mapped{0};
    std::atomic<int> unmapped{0};
};

constexpr int rounds = 100;

TEST(first_look_of_many, maps_once_and_is_the_same_for_all) {
    many_handed_heap heap;
    const vcsm::kernel::scoped_calls in_force{heap};
    vcsm::use("dma-heap:system");
    for (int round = 0; round != rounds; ++round) {
        shared_memory block{8192, "wanted by many"};
        const std::uint32_t handle = block.handle();
        std::vector<std::byte*> seen(4);
        std::vector<std::function<void()>> users;
        users.emplace_back([&] { seen[0] = service().address(handle); });
        users.emplace_back([&] {
            seen[1] = service().lock(handle);
            service().unlock(handle);
        });
        users.emplace_back([&] {
            auto view = block.lock(vcsm::access::write);
            seen[2] = view.data();
            EXPECT_EQ(handle_at(view.data()), handle);
        });
        users.emplace_back([&] {
            const shared_memory another = block.share();
            seen[3] = service().address(another.handle());
        });
        in_threads(static_cast<unsigned>(users.size()), [&](unsigned user) { users[user](); });
        EXPECT_EQ(seen, std::vector<std::byte*>(4, service().handles().address_of(handle)));
        EXPECT_EQ(handle_at(seen[0] + 8191), handle);
        EXPECT_EQ(heap.mapped, round + 1);
    }
    vcsm::stop_service();
    EXPECT_EQ(heap.unmapped, heap.mapped);
}

TEST(first_look_of_many, meets_a_block_that_is_freed_or_resized_meanwhile) {
    many_handed_heap heap;
    const vcsm::kernel::scoped_calls in_force{heap};
    vcsm::use("dma-heap:system");
    for (int round = 0; round != rounds; ++round) {
        shared_memory block{8192, "not for long"};
        const std::uint32_t handle = block.handle();
        std::vector<std::function<void()>> users;
        users.emplace_back([&] {
            try {
                (void)service().lock(handle); // and no look: it may be freed now
                service().unlock(handle);
            } catch (const std::invalid_argument&) { // freed before it was locked, or while it was
            }
        });
        users.emplace_back([&] {
            if (const std::byte* const address = service().address(handle)) {
                const std::uint32_t found = handle_at(address);
                EXPECT_TRUE(found == handle || found == 0);
            }
        });
        users.emplace_back([&] {
            if (round % 2 == 0) {
                service().free(handle);
                return;
            }
            try {
                block.resize(20000);
            } catch (const vcsm::error& refused) {
                EXPECT_EQ(refused.code().value(), EBUSY) << "it was locked";
            }
        });
        in_threads(static_cast<unsigned>(users.size()), [&](unsigned user) { users[user](); });
    }
    EXPECT_TRUE(vcsm::blocks().empty());
    vcsm::stop_service();
    EXPECT_EQ(heap.unmapped, heap.mapped);
}

} // namespace
