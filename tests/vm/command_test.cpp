// The command `vcsm`, as it is installed, on a real kernel: what it sees of other processes' blocks, and what it does
// on devices that most machines lack.
#include "processes.hpp"
#include "running.hpp"

#include <vcsm/vcsm.hpp>

#include <algorithm>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace vcsm_vm;
using nlohmann::json;
using testing::HasSubstr;
using vcsm_tests::finished;

namespace {

finished vcsm_says(std::vector<std::string> words, const vcsm_tests::surroundings& around = {}) {
    words.insert(words.begin(), "/bin/vcsm");
    vcsm_tests::running command{words, around};
    return command.wait();
}

/// A process that holds blocks until it is told to end.
class holder {
  public:
    explicit holder(const std::function<bool(const std::function<bool()>& until_the_end)>& what)
        : other_{[&] { return what([&] { return say(wire_.there) && hear(wire_.there); }); }} {
        EXPECT_TRUE(hear(wire_.here));
    }
    [[nodiscard]] pid_t process() const { return other_.process(); }
    bool ended_well() { return say(wire_.here) && other_.went_well(); }

  private:
    channel wire_;
    child other_;
};

json blocks_of(const json& all, pid_t process) {
    json found = json::array();
    std::copy_if(all.at("blocks").begin(), all.at("blocks").end(), std::back_inserter(found),
                 [&](const json& one) { return one.at("process") == process; });
    return found;
}

json listed() {
    const finished list = vcsm_says({"list", "--json"});
    EXPECT_EQ(list.status, 0) << list.err;
    return json::parse(list.out);
}

TEST(the_command_list, shows_the_blocks_of_two_processes_and_of_none_that_has_gone) {
    const int before = dma_bufs_alive();
    holder of_ours{[](const auto& until_the_end) {
        vcsm::use("dma-heap:system");
        const vcsm::shared_memory grid{5000, "ls_grid"};
        grid.lock(vcsm::access::read).unlock();
        const vcsm::shared_memory frame{100 * page_size(), "frame"}; // which the CPU never looks at
        return until_the_end();
    }};
    // A program that knows nothing of the library: one dma-buf under two descriptors, not mapped; one without a name.
    holder of_another{[](const auto& until_the_end) {
        const descriptor first = from_udmabuf(3 * page_size());
        const descriptor again{::dup(first.get())};
        const descriptor second = from_system_heap(page_size());
        return ::ioctl(first.get(), DMA_BUF_SET_NAME_B, "theirs") == 0 && until_the_end();
    }};

    const json all = listed();
    const json ours = blocks_of(all, of_ours.process());
    ASSERT_EQ(ours.size(), 2U) << all;
    std::set<std::string> names;
    for (const json& one : ours) {
        names.insert(one.at("name"));
        const auto bytes = one.at("name") == "frame" ? 100 * page_size() : 2 * page_size();
        EXPECT_EQ(one.at("bytes"), bytes);
        EXPECT_EQ(one.at("mapped_bytes"), one.at("name") == "frame" ? 0 : bytes);
        EXPECT_EQ(one.at("exporter"), "system");
        EXPECT_EQ(one.at("descriptors").size(), 1U);
        EXPECT_EQ(one.at("command"), "command_test");
    }
    EXPECT_EQ(names, (std::set<std::string>{"frame", "ls_grid"}));

    const json theirs = blocks_of(all, of_another.process());
    ASSERT_EQ(theirs.size(), 2U) << all;
    const bool named_first = theirs[0].at("name") == "theirs";
    const json& named = theirs[named_first ? 0 : 1];
    const json& nameless = theirs[named_first ? 1 : 0];
    EXPECT_EQ(named.at("bytes"), 3 * page_size());
    EXPECT_EQ(named.at("exporter"), "udmabuf");
    EXPECT_EQ(named.at("descriptors").size(), 2U);
    EXPECT_EQ(named.at("mapped_bytes"), 0);
    EXPECT_EQ(nameless.at("name"), "");
    EXPECT_EQ(all.at("distinct_blocks"), before + 4);
    const finished table = vcsm_says({"list"});
    EXPECT_EQ(table.status, 0);
    EXPECT_THAT(table.out, testing::AllOf(HasSubstr("ls_grid"), HasSubstr("theirs"), HasSubstr("udmabuf")));

    EXPECT_TRUE(of_another.ended_well());
    EXPECT_EQ(listed().at("distinct_blocks"), before + 2);
    EXPECT_TRUE(of_ours.ended_well());
}

TEST(the_command_list, shows_a_block_in_two_processes_twice_and_counts_it_once) {
    const int before = dma_bufs_alive();
    const descriptor shared = from_system_heap(page_size());
    holder other{[&](const auto& until_the_end) { return shared.valid() && until_the_end(); }};
    const json all = listed();
    const json here = blocks_of(all, ::getpid());
    const json there = blocks_of(all, other.process());
    ASSERT_EQ(here.size(), 1U) << all;
    ASSERT_EQ(there.size(), 1U) << all;
    EXPECT_EQ(here[0].at("inode"), there[0].at("inode"));
    EXPECT_EQ(all.at("distinct_blocks"), before + 1);
    EXPECT_TRUE(other.ended_well());
}

TEST(the_command_read, copies_what_another_process_holds) {
    std::string content(3 * page_size(), '\0');
    for (std::size_t at = 0; at < content.size(); ++at) {
        content[at] = static_cast<char>(at * 7 + at / 251);
    }
    holder other{[&](const auto& until_the_end) {
        vcsm::use("dma-heap:system");
        vcsm::shared_memory block{content.size(), "to be read"};
        block.copy_from(content);
        return until_the_end();
    }};
    const vcsm_tests::temporary_directory directory;
    const finished by_name =
        vcsm_says({"read", "--pid", std::to_string(other.process()), "--block", "to be read", directory / "copy"});
    EXPECT_EQ(by_name.status, 0) << by_name.err;
    EXPECT_TRUE(vcsm_tests::content_of(directory / "copy") == content);
    const finished unknown =
        vcsm_says({"read", "--pid", std::to_string(other.process()), "--block", "another", directory / "none"});
    EXPECT_EQ(unknown.status, 1);
    EXPECT_THAT(unknown.err, HasSubstr("to be read"));
    EXPECT_TRUE(other.ended_well());
}

TEST(the_command_send, fills_a_block_of_each_device_that_the_kernel_has) {
    const vcsm_tests::temporary_directory directory;
    const std::string file = directory.write("table", std::string(3 * page_size() + 11, 'x'));
    for (const char* const device : {"dma-heap:system", "udmabuf"}) {
        const finished sent = vcsm_says({"send", file, "--device", device, "--json"});
        EXPECT_EQ(sent.status, 0) << sent.err;
        EXPECT_EQ(json::parse(sent.out).at("device"), device);
    }
}

TEST(the_command_devices, knows_which_can_be_used_here) {
    const finished devices = vcsm_says({"devices", "--json"});
    EXPECT_EQ(devices.status, 0) << devices.err;
    EXPECT_THAT(devices.out, testing::AllOf(HasSubstr("dma-heap"), HasSubstr("udmabuf")));
}

TEST(the_command_doctor, finds_devices_that_can_be_used) {
    const finished doctor = vcsm_says({"doctor", "--json"});
    EXPECT_EQ(doctor.status, 0) << doctor.out << doctor.err;
    EXPECT_THAT(json::parse(doctor.out).dump(),
                testing::AllOf(HasSubstr("/dev/dma_heap/system"), HasSubstr("/dev/udmabuf")));
}

} // namespace
