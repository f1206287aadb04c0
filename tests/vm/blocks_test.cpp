// Blocks on a real kernel: what is left of them, and when, told by the kernel's own list of dma-bufs; and blocks
// between processes.
#include "errno_of.hpp"
#include "processes.hpp"

#include <vcsm/vcsm.hpp>

#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/mman.h>

using namespace vcsm_vm;
using testing::HasSubstr;

namespace {

/// The library's name for a device node.
std::string device_of(const kind& one) {
    return std::string{one.name} == "udmabuf" ? "udmabuf" : "dma-heap:system";
}

std::vector<unsigned char> counted(std::size_t bytes, unsigned char first) {
    std::vector<unsigned char> values(bytes);
    std::iota(values.begin(), values.end(), first);
    return values;
}

class blocks : public testing::TestWithParam<kind> {
  protected:
    blocks() {
        EXPECT_GE(before_, 0) << "debugfs is not mounted";
        vcsm::use(device_of(GetParam()));
    }
    ~blocks() override {
        vcsm::stop_service();
        EXPECT_EQ(here(), 0) << "left over:\n" << text_of("/sys/kernel/debug/dma_buf/bufinfo");
    }
    /// How many dma-bufs the kernel has more than when the test began.
    [[nodiscard]] int here() const { return dma_bufs_alive() - before_; }

  private:
    int before_ = dma_bufs_alive();
};

TEST_P(blocks, are_one_dma_buf_each_until_they_are_closed) {
    vcsm::shared_memory first{100, "first"};
    EXPECT_EQ(here(), 1);
    {
        const vcsm::shared_memory second{5 * page_size(), "second"};
        EXPECT_EQ(here(), 2);
    }
    EXPECT_EQ(here(), 1);
    first = vcsm::shared_memory{200, "third"};
    EXPECT_EQ(here(), 1);
    first.close();
    EXPECT_EQ(here(), 0);
}

TEST_P(blocks, leave_nothing_behind_however_many_there_were) {
    for (int round = 0; round < 300; ++round) {
        vcsm::shared_memory block{page_size(), "many"};
        block.copy_from(counted(100, 1));
    }
    EXPECT_EQ(here(), 0);
}

TEST_P(blocks, tell_the_kernel_their_name_and_size) {
    const vcsm::shared_memory block{3 * page_size() - 7, "a name that is longer than the kernel keeps"};
    EXPECT_EQ(fdinfo(block.dmabuf(), "size"), std::to_string(3 * page_size()));
    EXPECT_EQ(fdinfo(block.dmabuf(), "name"), "a name that is longer than the ");
    EXPECT_EQ(block.capacity(), 3 * page_size());
    EXPECT_EQ(block.size(), 3 * page_size() - 7);
    EXPECT_EQ(::fcntl(block.dmabuf(), F_GETFD), FD_CLOEXEC);
}

TEST_P(blocks, are_all_gone_when_the_service_stops_but_what_is_locked_when_its_lock_ends) {
    vcsm::shared_memory one{page_size(), "one"};
    const vcsm::shared_memory two{page_size(), "two"};
    auto view = one.lock(vcsm::access::write);
    vcsm::stop_service();
    EXPECT_EQ(here(), 1) << "the locked one";
    view[0] = std::byte{1};
    view.unlock();
    EXPECT_EQ(here(), 0);
    EXPECT_THROW((void)two.size(), vcsm::no_block);
}

TEST_P(blocks, live_on_in_an_exported_descriptor) {
    vcsm::shared_memory block{page_size(), "exported"};
    block.copy_from(counted(page_size(), 9));
    descriptor exported{block.export_dmabuf()};
    block.close();
    EXPECT_EQ(here(), 1);
    {
        const vcsm::shared_memory again = vcsm::shared_memory::from_dmabuf(exported.get(), "again");
        EXPECT_EQ(again.to_vector<unsigned char>(), counted(page_size(), 9));
        exported.close();
        EXPECT_EQ(here(), 1);
    }
    EXPECT_EQ(here(), 0);
}

TEST_P(blocks, are_not_kept_alive_by_a_forked_child) {
    vcsm::shared_memory block{page_size(), "the parent's"};
    const channel to_child;
    child other{[&] { return say(to_child.there) && hear(to_child.there); }};
    ASSERT_TRUE(hear(to_child.here));
    block.close();
    EXPECT_TRUE(soon([&] { return here() == 0; })) << "the child holds it";
    EXPECT_TRUE(say(to_child.here));
    EXPECT_TRUE(other.went_well());
}

TEST_P(blocks, of_the_parent_are_refused_in_a_forked_child_which_has_its_own) {
    vcsm::shared_memory block{page_size(), "the parent's"};
    block.copy_from(counted(10, 1));
    child other{[&] {
        try {
            (void)block.lock(vcsm::access::read);
            return false;
        } catch (const vcsm::no_block&) {
        }
        vcsm::shared_memory own{page_size(), "the child's"};
        own.copy_from(counted(10, 50));
        return own.to_vector<unsigned char>()[9] == 59;
    }};
    EXPECT_TRUE(other.went_well());
    EXPECT_EQ(block.to_vector<unsigned char>()[9], 10);
}

TEST_P(blocks, are_not_kept_alive_by_a_program_that_was_executed) {
    vcsm::shared_memory block{page_size(), "not for others"};
    const pid_t other = ::fork();
    if (other == 0) {
        ::execl("/bin/sleep", "sleep", "1000", nullptr);
        ::_exit(127);
    }
    const std::string link = "/proc/" + std::to_string(other) + "/comm";
    EXPECT_TRUE(soon([&] { return text_of(link) == "sleep\n"; }));
    block.close();
    EXPECT_EQ(here(), 0);
    ::kill(other, SIGKILL);
    ::waitpid(other, nullptr, 0);
}

TEST_P(blocks, of_a_killed_process_leave_nothing) {
    const channel to_child;
    child other{[&] {
        std::vector<vcsm::shared_memory> many;
        for (int number = 0; number < 8; ++number) {
            many.emplace_back(10 * page_size(), "lost");
        }
        auto view = many[3].lock(vcsm::access::write);
        const vcsm::shared_memory shared = many[4].share();
        const descriptor exported{many[5].export_dmabuf()};
        view[0] = std::byte{1};
        return say(to_child.there) && hear(to_child.there);
    }};
    ASSERT_TRUE(hear(to_child.here));
    EXPECT_EQ(here(), 8);
    other.kill();
    EXPECT_TRUE(soon([&] { return here() == 0; })) << here() << " are left";
}

TEST_P(blocks, of_a_process_that_exits_without_freeing_leave_nothing) {
    child other{[&]() -> bool {
        auto* const never_destroyed = new vcsm::shared_memory{page_size(), "forgotten"};
        never_destroyed->copy_from(counted(10, 1));
        std::exit(0); // as from main()
    }};
    EXPECT_TRUE(other.went_well());
    EXPECT_TRUE(soon([&] { return here() == 0; }));
}

TEST_P(blocks, can_be_sent_to_another_process_and_are_the_same_memory_there) {
    channel wire;
    // The child is there before the block is: it is no heir, but a process of its own that gets a descriptor.
    child receiver{[&] {
        wire.here.close();
        const descriptor received = receive_descriptor(wire.there);
        vcsm::shared_memory block = vcsm::shared_memory::from_dmabuf(received.get(), "received");
        if (block.size() != 2 * page_size() || block.to_vector<unsigned char>() != counted(2 * page_size(), 3)) {
            return false;
        }
        block.copy_from(counted(16, 200), page_size());
        return say(wire.there) && hear(wire.there);
    }};
    wire.there.close();
    vcsm::shared_memory block{2 * page_size(), "sent"};
    block.copy_from(counted(2 * page_size(), 3));
    ASSERT_TRUE(send_descriptor(wire.here, block.dmabuf()));
    ASSERT_TRUE(hear(wire.here));
    std::vector<unsigned char> answer(16);
    block.copy_to(answer, page_size());
    EXPECT_EQ(answer, counted(16, 200));
    EXPECT_EQ(here(), 1) << "one block in two processes";
    block.close();
    EXPECT_EQ(here(), 1) << "the other process has it still";
    EXPECT_TRUE(say(wire.here));
    EXPECT_TRUE(receiver.went_well());
    EXPECT_TRUE(soon([&] { return here() == 0; }));
}

TEST_P(blocks, of_more_than_the_machine_has_are_refused_and_harm_nobody) {
    child innocent{[] {
        ::pause();
        return true;
    }};
    // A 32-bit program cannot even ask for more than 2 GiB; the machine has 1.
    const std::size_t bytes =
        sizeof(std::size_t) == 8 ? std::size_t{1} << 40 : (std::size_t{1} << 31) - 2 * page_size();
    try {
        const vcsm::shared_memory block{bytes, "too much"};
        ADD_FAILURE() << bytes << " bytes were given";
    } catch (const vcsm::error& refused) {
        EXPECT_THAT(refused.what(), HasSubstr(std::to_string(bytes)));
        EXPECT_THAT(refused.what(), HasSubstr("too much"));
    }
    EXPECT_EQ(::kill(innocent.process(), 0), 0);
    EXPECT_EQ(here(), 0);
}

TEST_P(blocks, without_a_free_descriptor_are_refused_and_leave_nothing) {
    const vcsm::shared_memory first{page_size(), "the service is running"};
    std::vector<descriptor> all;
    for (;;) {
        descriptor one{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
        if (!one.valid()) {
            break;
        }
        all.push_back(std::move(one));
    }
    ASSERT_EQ(errno, EMFILE);
    // udmabuf takes two, a memfd and the dma-buf over it: with one free it has the first of them to give back.
    const int may_be_free = std::string{GetParam().name} == "udmabuf" ? 1 : 0;
    for (int free = 0; free <= may_be_free; ++free) {
        try {
            const vcsm::shared_memory second{page_size(), "one too many"};
            ADD_FAILURE() << free << " free descriptors were enough";
        } catch (const vcsm::error& refused) {
            EXPECT_EQ(refused.code().value(), EMFILE);
            EXPECT_THAT(refused.what(), HasSubstr("one too many"));
        }
        all.pop_back();
    }
    all.clear();
    EXPECT_EQ(here(), 1) << "the first";
    EXPECT_TRUE(vcsm::shared_memory(page_size(), "now there is room"));
}

TEST_P(blocks, are_refused_to_a_user_who_may_not_open_the_node) {
    const std::string device = device_of(GetParam());
    vcsm::stop_service();
    child nobody{[&] {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) {
            return false;
        }
        try {
            vcsm::use(device);
        } catch (const vcsm::error& refused) {
            const std::string sentence = refused.what();
            return refused.code().value() == EACCES && sentence.find("/dev/") != std::string::npos &&
                   (sentence.find("usermod") != std::string::npos || sentence.find("udev") != std::string::npos);
        }
        return false;
    }};
    EXPECT_TRUE(nobody.went_well());
}

TEST_P(blocks, come_from_what_is_a_dma_buf_and_nothing_else) {
    const auto refusal = [](int number) {
        return vcsm_tests::errno_of([&] { (void)vcsm::shared_memory::from_dmabuf(number, "impostor"); });
    };
    const descriptor node{::open(GetParam().node, O_RDWR | O_CLOEXEC)};
    const descriptor memory = sealed_memfd(page_size(), F_SEAL_SHRINK);
    const descriptor null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    EXPECT_EQ(refusal(node.get()), EINVAL);
    EXPECT_EQ(refusal(memory.get()), EINVAL);
    EXPECT_EQ(refusal(null.get()), EINVAL);
    EXPECT_THROW((void)vcsm::shared_memory::from_dmabuf(-1), std::invalid_argument);
    EXPECT_EQ(refusal(999999), EBADF);
    for (const kind& other : kinds()) {
        const descriptor real = other.make(page_size());
        EXPECT_EQ(refusal(real.get()), 0) << "of " << other.node;
    }
}

INSTANTIATE_TEST_SUITE_P(kernel, blocks, testing::ValuesIn(kinds()),
                         [](const testing::TestParamInfo<kind>& one) { return std::string{one.param.name}; });

} // namespace
