// Holds and locks that no object carries, and look-ups by number: what C's face stands on.
#include "fresh.hpp"
#include "service.hpp"

#include <atomic>
#include <system_error>
#include <thread>

namespace {

using vcsm::cache_mode;
using vcsm::detail::service;
using vcsm_tests::pattern;
using vcsm_tests::seen_by_videocore;

class bare : public vcsm_tests::fresh_videocore {
  protected:
    service& service_ = service::instance();
};
using bare_lock = bare;
using look_up = bare;
using cache_change = bare;
using bare_hold = bare;

template <class Call>
int errno_of(Call&& call) {
    try {
        call();
    } catch (const std::system_error& failed) {
        return failed.code().value();
    } catch (const std::invalid_argument&) {
        return EINVAL;
    }
    return 0;
}

TEST_F(bare_lock, makes_the_write_visible_to_videocore_when_it_ends) {
    const vcsm::shared_memory block{256, "b", cache_mode::host};
    std::byte* const data = service_.lock(block.handle());
    data[7] = std::byte{42};
    EXPECT_EQ(seen_by_videocore(block, 1, 7)[0], std::byte{0});
    service_.unlock(block.handle());
    EXPECT_EQ(seen_by_videocore(block, 1, 7)[0], std::byte{42});
}

TEST_F(bare_lock, leaves_what_was_written_in_the_cache_where_it_ends_without_a_clean) {
    const vcsm::shared_memory block{256, "b", cache_mode::host};
    service_.lock(block.handle())[7] = std::byte{42};
    service_.unlock(block.handle(), false);
    EXPECT_EQ(seen_by_videocore(block, 1, 7)[0], std::byte{0});
    EXPECT_EQ(vcsm::blocks().front().locks, 0U);
}

TEST_F(bare_lock, counts_with_the_locks_of_objects) {
    const vcsm::shared_memory block{256, "b", cache_mode::host};
    {
        const auto view = block.lock(vcsm::access::write);
        (void)service_.lock(block.handle());
        (void)service_.lock(block.handle());
        EXPECT_EQ(vcsm::blocks().front().locks, 3U);
        service_.unlock(block.handle());
        service_.unlock(block.handle());
        EXPECT_EQ(errno_of([&] { service_.unlock(block.handle()); }), EPERM) << "the object's lock is its own";
        EXPECT_EQ(vcsm::blocks().front().locks, 1U);
    }
    EXPECT_EQ(vcsm::blocks().front().locks, 0U);
}

TEST_F(bare_lock, that_is_none_cannot_be_ended) {
    vcsm::shared_memory block{256, "b"};
    const std::uint32_t handle = block.handle();
    EXPECT_EQ(errno_of([&] { service_.unlock(handle); }), EPERM);
    EXPECT_EQ(errno_of([&] { service_.unlock(0); }), EINVAL);
    block.close();
    EXPECT_EQ(errno_of([&] { service_.unlock(handle); }), EINVAL);
    EXPECT_EQ(errno_of([&] { (void)service_.lock(handle); }), EINVAL);
    EXPECT_EQ(errno_of([&] { service_.unlock_at(&block); }), EINVAL);
}

TEST_F(bare_lock, ends_by_any_address_inside_the_block_and_any_of_its_handles) {
    const vcsm::shared_memory block{10000, "b"};
    const vcsm::shared_memory second = block.share();
    std::byte* const data = service_.lock(second.handle());
    service_.unlock_at(data + 9000);
    EXPECT_EQ(vcsm::blocks().front().locks, 0U);
    EXPECT_EQ(errno_of([&] { service_.unlock_at(data); }), EPERM);
}

TEST_F(bare_lock, ends_with_its_handle) {
    const vcsm::shared_memory block{256, "b", cache_mode::host};
    vcsm::shared_memory second = block.share();
    service_.lock(second.handle())[1] = std::byte{1};
    (void)service_.lock(second.handle());
    second.close();
    EXPECT_EQ(vcsm::blocks().front().locks, 0U);
    EXPECT_EQ(seen_by_videocore(block, 1, 1)[0], std::byte{1});
}

TEST_F(look_up, finds_a_block_by_every_address_in_it) {
    const vcsm::shared_memory block{20000, "b"};
    const auto view = block.lock(vcsm::access::write);
    const auto& handles = service_.handles();
    EXPECT_EQ(handles.address_of(block.handle()), view.data());
    EXPECT_EQ(handles.handle_at(view.data()), block.handle());
    EXPECT_EQ(handles.handle_at(view.data() + 19999), block.handle());
    EXPECT_EQ(handles.handle_at(view.data() - 1), 0U);
    EXPECT_EQ(handles.handle_at(view.data() + block.capacity()), 0U);
    EXPECT_EQ(handles.handle_at(nullptr), 0U);
    EXPECT_EQ(handles.address_of(0), nullptr);
    EXPECT_EQ(handles.address_of(block.handle() + 1), nullptr);
}

TEST_F(look_up, follows_a_block_that_is_resized_or_freed) {
    vcsm::shared_memory block{5000, "b"};
    const vcsm::shared_memory second = block.share();
    const auto& handles = service_.handles();
    std::byte* const before = handles.address_of(block.handle());
    block.resize(50000);
    std::byte* const after = handles.address_of(block.handle());
    EXPECT_NE(after, before);
    EXPECT_EQ(handles.address_of(second.handle()), after);
    EXPECT_EQ(handles.handle_at(before), 0U);
    EXPECT_EQ(handles.handle_at(after + 49999), block.handle());
    block.close();
    EXPECT_EQ(handles.handle_at(after), second.handle()) << "the handle that is left";
}

TEST_F(look_up, finds_nothing_after_the_service_stopped) {
    const vcsm::shared_memory block{5000, "b"};
    const std::uint32_t handle = block.handle();
    std::byte* const data = service_.handles().address_of(handle);
    vcsm::stop_service();
    EXPECT_EQ(service_.handles().address_of(handle), nullptr);
    EXPECT_EQ(service_.handles().handle_at(data), 0U);
}

TEST_F(look_up, remembers_a_videocore_handle_until_the_block_is_resized) {
    vcsm::shared_memory block{5000, "b"};
    auto& handles = service_.handles();
    EXPECT_EQ(handles.known_videocore_handle(block.handle()), 0U);
    handles.remember_videocore_handle(block.handle(), 77);
    EXPECT_EQ(handles.known_videocore_handle(block.handle()), 77U);
    block.resize(100);
    EXPECT_EQ(handles.known_videocore_handle(block.handle()), 0U);
}

TEST_F(look_up, is_right_while_other_threads_make_and_free_blocks) {
    const vcsm::shared_memory kept{5000, "kept"};
    const auto& handles = service_.handles();
    std::byte* const data = handles.address_of(kept.handle());
    std::atomic<bool> done{false};
    std::thread others{[&] {
        for (int round = 0; round < 300; ++round) {
            std::vector<vcsm::shared_memory> blocks;
            for (int i = 0; i < 20; ++i) {
                blocks.emplace_back(100U, "b");
            }
        }
        done = true;
    }};
    while (!done) {
        ASSERT_EQ(handles.handle_at(data + 4000), kept.handle());
        ASSERT_EQ(handles.address_of(kept.handle()), data);
        ASSERT_EQ(service_.lock(kept.handle()), data);
        service_.unlock(kept.handle());
    }
    others.join();
}

TEST_F(look_up, and_locks_survive_a_block_that_others_resize_and_free) {
    vcsm::shared_memory block{5000, "b"};
    const std::uint32_t handle = block.handle();
    std::atomic<bool> done{false};
    std::atomic<int> locked{0};
    std::thread other{[&] {
        constexpr unsigned sizes = 200;
        constexpr int locks_in_between = 50; // however late the other thread gets its turn
        for (unsigned round = 0; round < sizes || locked < locks_in_between; ++round) {
            try {
                block.resize(1000U + round % sizes * 100U);
            } catch (const vcsm::error& refused) {
                EXPECT_EQ(refused.code().value(), EBUSY) << refused.what();
            }
        }
        block.close();
        done = true;
    }};
    while (!done) {
        const int result = errno_of([&] {
            std::byte* const data = service_.lock(handle);
            data[0] = std::byte{1};
            service_.unlock(handle);
            ++locked;
        });
        ASSERT_TRUE(result == 0 || result == EINVAL) << result;
    }
    other.join();
}

TEST_F(cache_change, keeps_the_content_and_the_handle) {
    vcsm::shared_memory block{300, "b"};
    block.copy_from(pattern(300));
    EXPECT_EQ(service_.change_cache(block.handle(), cache_mode::host), cache_mode::host);
    EXPECT_EQ(block.granted_cache(), cache_mode::host);
    EXPECT_EQ(block.to_vector(), pattern(300));
    EXPECT_EQ(seen_by_videocore(block, 300), pattern(300));
}

TEST_F(cache_change, is_refused_once_videocore_may_look_at_the_block) {
    const vcsm::shared_memory handled{300, "handled"};
    (void)handled.videocore_handle();
    const vcsm::shared_memory addressed{300, "addressed"};
    (void)addressed.share().bus_address(); // through another of its handles
    const vcsm::shared_memory exported{300, "exported"};
    (void)exported.dmabuf();
    for (const auto* const block : {&handled, &addressed, &exported}) {
        EXPECT_EQ(service_.change_cache(block->handle(), cache_mode::host), cache_mode::none) << block->name();
    }
}

TEST_F(cache_change, is_refused_while_the_block_is_locked) {
    const vcsm::shared_memory block{300, "b"};
    const auto view = block.lock(vcsm::access::read);
    EXPECT_EQ(service_.change_cache(block.handle(), cache_mode::host), cache_mode::none);
}

TEST_F(cache_change, that_finds_no_memory_leaves_the_block_as_it_is) {
    start("alloc@2=ENOMEM");
    vcsm::shared_memory block{300, "b"};
    block.copy_from(pattern(300));
    EXPECT_EQ(service_.change_cache(block.handle(), cache_mode::host), cache_mode::none);
    EXPECT_EQ(block.to_vector(), pattern(300));
}

TEST_F(bare_hold, counts_and_stops_the_service_with_the_last) {
    vcsm::stop_service();
    service_.hold_bare(false, -1);
    service_.hold_bare(true, -1);
    EXPECT_TRUE(service_.let_go_bare());
    EXPECT_TRUE(vcsm::service_running());
    EXPECT_TRUE(service_.let_go_bare());
    EXPECT_FALSE(vcsm::service_running());
    EXPECT_FALSE(service_.let_go_bare());
}

TEST_F(bare_hold, lets_go_of_its_own_alone) {
    const vcsm::service_manager manager;
    service_.hold_bare(false, -1);
    EXPECT_TRUE(service_.let_go_bare());
    EXPECT_FALSE(service_.let_go_bare());
    EXPECT_TRUE(vcsm::service_running()) << "the manager holds it";
}

TEST_F(bare_hold, ends_with_the_service) {
    service_.hold_bare(false, -1);
    vcsm::stop_service();
    EXPECT_FALSE(service_.let_go_bare());
    EXPECT_EQ(errno_of([&] { (void)service_.allocate(100, "b", {}, vcsm::detail::starting::never); }), ENODEV);
}

} // namespace
