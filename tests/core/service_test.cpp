#include "fresh.hpp"

#include "service.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <thread>

namespace {

using testing::HasSubstr;
using vcsm::shared_memory;
using vcsm_tests::pattern;

class the_service : public vcsm_tests::fresh_videocore {
  protected:
    void SetUp() override {
        fresh_videocore::SetUp();
        vcsm::stop_service();
    }
};

TEST_F(the_service, starts_with_the_first_block) {
    EXPECT_FALSE(vcsm::service_running());
    const shared_memory block{1, "b"};
    EXPECT_TRUE(vcsm::service_running());
}

TEST_F(the_service, frees_every_block_when_it_stops_and_they_say_so) {
    shared_memory block{100, "mine"};
    vcsm::stop_service();
    EXPECT_TRUE(vcsm::videocore::list().empty());
    EXPECT_TRUE(vcsm::blocks().empty());
    EXPECT_FALSE(block);
    try {
        (void)block.videocore_handle();
        FAIL();
    } catch (const vcsm::no_block& gone) {
        EXPECT_THAT(gone.what(), testing::AllOf(HasSubstr("\"mine\""), HasSubstr("service was stopped")));
    }
}

TEST_F(the_service, starts_again_any_number_of_times) {
    for (int i = 0; i < 3; ++i) {
        shared_memory block{100, "b"};
        block.copy_from(pattern(100));
        EXPECT_EQ(vcsm_tests::seen_by_videocore(block, 100), pattern(100));
        vcsm::stop_service();
        vcsm::stop_service();
    }
}

TEST_F(the_service, leaves_locked_memory_mapped_when_it_stops_and_its_unlocking_does_nothing) {
    shared_memory block{100, "b", vcsm::cache_mode::host};
    auto view = block.lock(vcsm::access::write);
    vcsm::stop_service();
    view[0] = std::byte{7};
    EXPECT_EQ(view[0], std::byte{7});
    view.unlock();
    shared_memory next{100, "next", vcsm::cache_mode::host};
    EXPECT_EQ(next.to_vector()[0], std::byte{0});
}

TEST_F(the_service, does_not_let_an_old_object_free_a_new_block) {
    auto old = std::make_unique<shared_memory>(100, "old");
    vcsm::stop_service();
    const shared_memory fresh{100, "fresh"};
    old.reset();
    EXPECT_EQ(vcsm::blocks().size(), 1U);
}

TEST_F(the_service, stops_with_the_last_manager) {
    auto first = std::make_unique<vcsm::service_manager>();
    vcsm::service_manager second;
    const shared_memory block{1, "b"};
    first.reset();
    EXPECT_TRUE(vcsm::service_running());
    vcsm::service_manager moved{std::move(second)};
    second.exit(); // NOLINT(bugprone-use-after-move): what was moved from holds nothing
    EXPECT_TRUE(vcsm::service_running());
    moved.exit();
    moved.exit();
    EXPECT_FALSE(vcsm::service_running());
    EXPECT_FALSE(block);
}

TEST_F(the_service, is_let_go_of_by_a_manager_that_is_given_anothers_hold) {
    vcsm::service_manager first;
    vcsm::service_manager second;
    first = std::move(second);
    second.exit(); // NOLINT(bugprone-use-after-move): what was moved from holds nothing
    EXPECT_TRUE(vcsm::service_running());
    first.exit();
    EXPECT_FALSE(vcsm::service_running()) << "what the first held before was let go of";
}

TEST_F(the_service, is_not_stopped_by_a_manager_of_an_earlier_run) {
    auto early = std::make_unique<vcsm::service_manager>();
    vcsm::stop_service();
    const vcsm::service_manager late;
    early.reset();
    EXPECT_TRUE(vcsm::service_running());
}

TEST_F(the_service, lists_this_processs_blocks) {
    shared_memory block{5000, "listed", vcsm::cache_mode::host};
    const auto view = block.lock(vcsm::access::read);
    const auto all = vcsm::blocks();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].handle, block.handle());
    EXPECT_EQ(all[0].name, "listed");
    EXPECT_EQ(all[0].device, "simulated");
    EXPECT_EQ(all[0].size, 5000U);
    EXPECT_EQ(all[0].capacity, block.capacity());
    EXPECT_EQ(all[0].cache, vcsm::cache_mode::host);
    EXPECT_EQ(all[0].locks, 1U);
    EXPECT_EQ(all[0].videocore_handle, block.videocore_handle());
    EXPECT_EQ(all[0].bus_address, block.bus_address());
}

TEST_F(the_service, refuses_another_device_while_blocks_live_on_this_one) {
    const shared_memory block{1, "b"};
    EXPECT_NO_THROW(vcsm::use("simulated"));
    try {
        vcsm::use("udmabuf");
        FAIL();
    } catch (const vcsm::error& refused) {
        EXPECT_EQ(refused.code().value(), EBUSY);
    }
    EXPECT_TRUE(block);
}

TEST_F(the_service, names_the_known_devices_when_asked_for_another) {
    try {
        vcsm::use("vchiq");
        FAIL();
    } catch (const std::invalid_argument& unknown) {
        for (const char* const known : {"vcsm-cma", "vcsm,", "dma-heap", "udmabuf", "mailbox", "v3d", "simulated"}) {
            EXPECT_THAT(unknown.what(), HasSubstr(known));
        }
    }
}

TEST_F(the_service, says_what_is_wrong_with_the_simulated_videocores_environment) {
    for (const auto& [variable, value] :
         {std::pair{"VCSM_SIM_MEMORY", "much"}, std::pair{"VCSM_SIM_FAULTS", "alloc"}}) {
        vcsm::videocore::reset();
        ::setenv(variable, value, 1);
        try {
            const shared_memory block{1, "b"};
            ADD_FAILURE() << variable << " was accepted";
        } catch (const vcsm::error& refused) {
            EXPECT_THAT(refused.what(), HasSubstr(value));
        }
        ::unsetenv(variable);
    }
}

TEST_F(the_service, lists_the_simulated_device_as_usable) {
    const auto known = vcsm::devices();
    const auto simulated =
        std::find_if(known.begin(), known.end(), [](const auto& each) { return each.name == "simulated"; });
    ASSERT_NE(simulated, known.end());
    EXPECT_TRUE(simulated->usable);
    EXPECT_TRUE(simulated->videocore_handle && simulated->bus_address && simulated->dmabuf && simulated->host_cache);
    EXPECT_LE(std::count_if(known.begin(), known.end(), [](const auto& each) { return each.chosen; }), 1);
}

TEST_F(the_service, frees_by_handle_what_an_object_holds) {
    shared_memory block{1, "b"};
    auto& own = vcsm::detail::service::instance();
    EXPECT_TRUE(own.free(block.handle()));
    EXPECT_FALSE(block);
    EXPECT_FALSE(own.free(0));
    EXPECT_FALSE(own.free(12345));
    EXPECT_THROW((void)block.size(), vcsm::no_block);
}

TEST_F(the_service, survives_stopping_while_others_allocate_and_copy) {
    std::atomic<bool> enough{false};
    std::vector<std::thread> users;
    for (int i = 0; i < 2; ++i) {
        users.emplace_back([&] {
            while (!enough) {
                try {
                    shared_memory block{1000, "b", vcsm::cache_mode::host};
                    block.copy_from(pattern(1000));
                    (void)block.to_vector();
                } catch (const vcsm::no_block&) { // stopped meanwhile
                }
            }
        });
    }
    for (int i = 0; i < 50; ++i) {
        vcsm::stop_service();
        std::this_thread::yield();
    }
    enough = true;
    for (auto& user : users) {
        user.join();
    }
}

} // namespace
