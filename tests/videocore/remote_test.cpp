// VideoCore's side through vcsm-sim's socket: what comes over it, right or wrong, from a stand-in for vcsm-sim. What
// vcsm-sim itself answers is seen in tests/sim/videocores_side_test.cpp.
#include "videocore/remote.hpp"

#include <vcsm/types.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using vcsm::videocore::parse_blocks;
using vcsm::videocore::remote;

/// Takes one connection, keeps the line that comes, and gives the answer in the pieces that it was told.
class stand_in {
  public:
    explicit stand_in(std::vector<std::string> pieces) : pieces_{std::move(pieces)} {
        std::string name = testing::TempDir() + "vcsm-remote-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::system_error{errno, std::generic_category(), "mkdtemp"};
        }
        folder_ = name;
        listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string all = path();
        std::memcpy(address.sun_path, all.c_str(), all.size() + 1);
        if (::bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
            ::listen(listening_, 1) != 0) {
            throw std::system_error{errno, std::generic_category(), "listen"};
        }
        thread_ = std::thread{[this] { serve(); }};
    }
    stand_in(const stand_in&) = delete;
    stand_in& operator=(const stand_in&) = delete;
    ~stand_in() {
        ::shutdown(listening_, SHUT_RDWR); // where nobody came
        thread_.join();
        ::close(listening_);
        std::filesystem::remove_all(folder_);
    }

    [[nodiscard]] std::string path() const { return folder_ / "control"; }
    /// The line that came; the connection has ended.
    [[nodiscard]] std::string heard() {
        thread_.join();
        thread_ = std::thread{[] {}};
        return heard_;
    }

  private:
    void serve() {
        const int connection = ::accept(listening_, nullptr, nullptr);
        char byte = 0;
        while (::read(connection, &byte, 1) == 1) {
            heard_ += byte;
            if (byte == '\n') {
                break;
            }
        }
        for (const std::string& piece : pieces_) {
            if (::send(connection, piece.data(), piece.size(), MSG_NOSIGNAL) < 0) {
                break;
            }
            ::usleep(2000); // so that it is read in pieces, too
        }
        ::close(connection);
    }

    std::vector<std::string> pieces_;
    std::filesystem::path folder_;
    int listening_ = -1;
    std::string heard_;
    std::thread thread_;
};

int errno_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const std::system_error& thrown) {
        return thrown.code().value();
    }
    return 0;
}

// What the stand-in answers to a read of two bytes, as an errno.
int read_gives(std::vector<std::string> pieces) {
    const stand_in sim{std::move(pieces)};
    std::array<std::byte, 2> bytes{};
    return errno_of([&] { remote{sim.path()}.read(7, 16, bytes); });
}

TEST(remote_videocore, reads_bytes_that_come_in_pieces) {
    stand_in sim{{"{\"ok\":true,", "\"data\":\"0a", "ff\"}\n"}};
    std::array<std::byte, 2> bytes{};
    remote{sim.path()}.read(7, 16, bytes);
    EXPECT_THAT(bytes, ElementsAre(std::byte{0x0a}, std::byte{0xff}));
    EXPECT_EQ(sim.heard(), "read 7 16 2\n");
}

TEST(remote_videocore, writes_bytes_as_hex_and_asks_nothing_for_none) {
    const std::array<std::byte, 3> bytes{std::byte{0}, std::byte{0x9f}, std::byte{0xe1}};
    stand_in sim{{"{\"ok\":true}\n"}};
    remote{sim.path()}.write(4294967295U, 5, bytes);
    EXPECT_EQ(sim.heard(), "write 4294967295 5 009fe1\n");
    EXPECT_NO_THROW(remote{"/nobody/listens"}.write(1, 0, {}));
}

TEST(remote_videocore, passes_on_the_errno_of_a_refusal) {
    EXPECT_EQ(read_gives({"{\"ok\":false,\"errno\":22,\"error\":\"no\"}\n"}), EINVAL);
    EXPECT_EQ(read_gives({"{\"ok\":false,\"error\":\"no\"}\n"}), EPROTO) << "it did not say why";
}

TEST(remote_videocore, takes_no_answer_that_is_none) {
    EXPECT_EQ(read_gives({}), EPROTO) << "it went away";
    EXPECT_EQ(read_gives({"{\"ok\":true,\"data\":\"0a"}), EPROTO) << "it went away in the middle";
    EXPECT_EQ(read_gives({"hello\n"}), EPROTO);
    EXPECT_EQ(read_gives({"{\"ok\":false,\"errno\":many}\n"}), EPROTO);
    EXPECT_EQ(read_gives({"{\"ok\":true}\n"}), EPROTO) << "no data";
    EXPECT_EQ(read_gives({"{\"ok\":true,\"data\":10}\n"}), EPROTO) << "no text";
    EXPECT_EQ(read_gives({"{\"ok\":true,\"data\":\"0a\"}\n"}), EPROTO) << "too little";
    EXPECT_EQ(read_gives({"{\"ok\":true,\"data\":\"0aff00\"}\n"}), EPROTO) << "too much";
    EXPECT_EQ(read_gives({"{\"ok\":true,\"data\":\"0axx\"}\n"}), EPROTO) << "no hex";
}

TEST(remote_videocore, says_why_it_could_not_be_asked) {
    EXPECT_EQ(errno_of([] { remote{"/nobody/listens"}.hold(1); }), ENOENT);
    EXPECT_EQ(errno_of([] { remote{std::string(200, 'x')}.release(1); }), ENAMETOOLONG);
}

TEST(remote_videocore, is_there_only_where_the_environment_names_it) {
    ::unsetenv("VCSM_SIM_CONTROL");
    EXPECT_FALSE(remote::from_environment());
    ::setenv("VCSM_SIM_CONTROL", "", 1);
    EXPECT_FALSE(remote::from_environment());
    ::setenv("VCSM_SIM_CONTROL", "/some/path", 1);
    EXPECT_TRUE(remote::from_environment());
    ::unsetenv("VCSM_SIM_CONTROL");
}

std::string a_block(const std::string& name) {
    return R"({"videocore_handle":9,"name":")" + name +
           R"(","bytes":5000,"capacity":8192,"bus_address":3221225472,"cache":"both","locks":1,"held":2,"allocated":true})";
}

TEST(remote_videocore, lists_blocks_whatever_their_names_are) {
    EXPECT_THAT(parse_blocks("{\"ok\":true,\"blocks\":[]}"), IsEmpty());
    const auto all =
        parse_blocks("{\"ok\":true,\"blocks\":[" + a_block(R"(\"a\\b\/c\b\f\n\r\t\u0001é)") + "," + a_block("") + "]}");
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].name, "\"a\\b/c\b\f\n\r\t\x01é");
    EXPECT_EQ(all[0].videocore_handle, 9U);
    EXPECT_EQ(all[0].bytes, 5000U);
    EXPECT_EQ(all[0].capacity, 8192U);
    EXPECT_EQ(all[0].bus_address, 0xc0000000U);
    EXPECT_EQ(all[0].cache, vcsm::cache_mode::both);
    EXPECT_EQ(all[0].locks, 1U);
    EXPECT_EQ(all[0].held, 2U);
    EXPECT_TRUE(all[0].allocated);
    EXPECT_EQ(all[1].name, "");
}

TEST(remote_videocore, takes_no_list_that_is_none) {
    for (const std::string& wrong :
         {std::string{"{\"ok\":true}"}, std::string{R"({"blocks":[{"videocore_handle":1}]})"},
          "{\"blocks\":[" + a_block(R"(a\x)") + "]}", "{\"blocks\":[" + a_block(R"(a\)"),
          "{\"blocks\":[" + a_block(R"(a\u00)")}) {
        EXPECT_EQ(errno_of([&] { (void)parse_blocks(wrong); }), EPROTO) << wrong;
    }
}

} // namespace
