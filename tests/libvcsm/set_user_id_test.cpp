// Whoever starts a set-user-ID program chooses its environment, and it is not theirs to change what the program does.
#include "../running.hpp" // this directory has another of that name

#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

namespace {

using vcsm_tests::temporary_directory;

constexpr uid_t nobody = 65534;

struct variable {
    const char* name;
    const char* value;
    friend std::ostream& operator<<(std::ostream& out, const variable& one) {
        return out << one.name << '=' << one.value;
    }
};

class set_user_id : public testing::TestWithParam<variable> {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) {
            GTEST_SKIP() << "only root can make a program another user's";
        }
        struct statvfs where {};
        ASSERT_EQ(::statvfs((directory_ / "").c_str(), &where), 0);
        if ((where.f_flag & ST_NOSUID) != 0) {
            GTEST_SKIP() << directory_ / ""
                         << " is mounted with nosuid";
        }
        std::filesystem::copy_file(VCSM_ENVIRONMENT_SHOWN, program_);
    }

    void give_to(uid_t user, mode_t mode) const {
        ASSERT_EQ(::chown(program_.c_str(), user, user), 0);
        ASSERT_EQ(::chmod(program_.c_str(), mode), 0);
    }
    /// What it prints in an environment without variables of the library, but for this one, and how it ends.
    [[nodiscard]] std::string run(const variable& with) const {
        vcsm_tests::surroundings around{{{"VCSM_DEVICE", ""}, {"VCSM_POOL", ""}}, "", ""};
        around.environment[with.name] = with.value;
        const vcsm_tests::finished ended = vcsm_tests::run({program_}, around);
        std::string said; // by the library, and not by what measures coverage and may not write its files
        std::istringstream lines{ended.err};
        for (std::string line; std::getline(lines, line);) {
            said += line.rfind("vcsm: ", 0) == 0 ? line + '\n' : "";
        }
        return said + ended.out + "status " + std::to_string(ended.status);
    }

  private:
    temporary_directory directory_;
    std::string program_ = directory_ / "shown";
};

TEST_P(set_user_id, programs_do_not_heed) {
    give_to(0, 0755);
    const std::string plain = run({"VCSM_LOG", ""});
    EXPECT_THAT(plain, testing::EndsWith("written to after unlock\nstatus 0"));
    EXPECT_NE(run(GetParam()), plain) << "the program does not show what the variable does";
    give_to(nobody, 04755);
    EXPECT_EQ(run(GetParam()), plain);
}

INSTANTIATE_TEST_SUITE_P(variables, set_user_id,
                         testing::Values(variable{"VCSM_DEVICE", "none"}, variable{"VCSM_LOG", "debug"},
                                         variable{"VCSM_GUARD", "1"}, variable{"VCSM_POOL", "1"},
                                         variable{"VCSM_SIM_MEMORY", "64K"}, variable{"VCSM_SIM_FAULTS", "lock@1=EIO"}),
                         [](const auto& one) { return std::string{one.param.name}; });

} // namespace
