#include "child.hpp"
#include "fresh.hpp"

#include <gmock/gmock.h>

#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include <dirent.h>
#include <unistd.h>

namespace {

using testing::HasSubstr;
using vcsm::shared_memory;
using vcsm_tests::pattern;
using vcsm_tests::said_by_child;
using vcsm_tests::seen_by_videocore;

int memfds_open() {
    int count = 0;
    DIR* const directory = ::opendir("/proc/self/fd");
    while (const dirent* const entry = ::readdir(directory)) { // NOLINT(concurrency-mt-unsafe): one thread
        std::array<char, 64> target{};
        if (::readlinkat(::dirfd(directory), entry->d_name, target.data(), target.size() - 1) > 0 &&
            std::strncmp(target.data(), "/memfd:vcsm", 11) == 0) {
            ++count;
        }
    }
    ::closedir(directory);
    return count;
}

class the_child_of_a_fork : public vcsm_tests::fresh_videocore {};

TEST_F(the_child_of_a_fork, cannot_use_its_parents_blocks_and_is_told_why) {
    shared_memory block{100, "parents"};
    const std::string parent = std::to_string(::getpid());
    for (const std::function<void()>& use :
         std::vector<std::function<void()>>{[&] { (void)block.size(); }, [&] { (void)block.videocore_handle(); },
                                            [&] { (void)block.lock(vcsm::access::read); }, [&] { block.resize(5); },
                                            [&] { (void)block.export_dmabuf(); }, [&] { (void)block.share(); }}) {
        EXPECT_THAT(said_by_child([&]() -> std::string {
                        use();
                        return "no exception";
                    }),
                    testing::AllOf(HasSubstr("belongs to process " + parent), HasSubstr("export it")));
    }
    block.copy_from(pattern(100));
    EXPECT_EQ(seen_by_videocore(block, 100), pattern(100)) << "the parent's is as it was";
}

TEST_F(the_child_of_a_fork, frees_none_of_its_parents_blocks) {
    auto block = std::make_unique<shared_memory>(100, "parents");
    said_by_child([&]() -> std::string {
        block.reset();
        vcsm::stop_service();
        return {};
    });
    EXPECT_EQ(vcsm::videocore::list().size(), 1U);
    block->copy_from(pattern(100));
}

TEST_F(the_child_of_a_fork, keeps_none_of_its_parents_descriptors) {
    shared_memory block{100, "exported"};
    (void)block.dmabuf();
    EXPECT_GE(memfds_open(), 2);
    EXPECT_EQ(said_by_child([] { return std::to_string(memfds_open()); }), "0");
}

TEST_F(the_child_of_a_fork, starts_a_service_and_a_videocore_of_its_own) {
    shared_memory block{100, "parents"};
    EXPECT_EQ(said_by_child([]() -> std::string {
                  shared_memory own{100, "childs"};
                  own.copy_from(pattern(100, 4));
                  const bool right = seen_by_videocore(own, 100) == pattern(100, 4);
                  const auto all = vcsm::videocore::list();
                  return right && all.size() == 1 && all[0].name == "childs" ? "right" : "wrong";
              }),
              "right");
    EXPECT_EQ(vcsm::videocore::list().size(), 1U);
}

TEST_F(the_child_of_a_fork, may_import_what_its_parent_exported) {
    shared_memory block{100, "parents"};
    block.copy_from(pattern(100));
    const int exported = block.export_dmabuf();
    EXPECT_EQ(said_by_child([&]() -> std::string {
                  const shared_memory imported = shared_memory::from_dmabuf(exported);
                  std::vector<std::byte> bytes(100);
                  imported.copy_to(bytes);
                  return bytes == pattern(100) ? "right" : "wrong";
              }),
              "right");
    ::close(exported);
}

TEST_F(the_child_of_a_fork, ends_its_parents_locks_without_harm) {
    shared_memory block{100, "parents", vcsm::cache_mode::host};
    auto view = block.lock(vcsm::access::write);
    said_by_child([&]() -> std::string {
        view.unlock();
        return {};
    });
    view[0] = std::byte{7};
    view.unlock();
    EXPECT_EQ(seen_by_videocore(block, 1)[0], std::byte{7});
}

TEST_F(the_child_of_a_fork, works_though_other_threads_were_busy) {
    std::atomic<bool> enough{false};
    std::thread busy;
    if (vcsm_tests::threads_may_allocate_over_a_fork) {
        busy = std::thread{[&] {
            while (!enough) {
                shared_memory block{1000, "busy", vcsm::cache_mode::host};
                block.copy_from(pattern(1000));
            }
        }};
    }
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(said_by_child([]() -> std::string {
                      shared_memory own{100, "childs"};
                      own.copy_from(pattern(100));
                      return "right";
                  }),
                  "right");
    }
    enough = true;
    if (busy.joinable()) {
        busy.join();
    }
}

} // namespace
