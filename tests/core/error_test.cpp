#include <vcsm/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <stdexcept>

namespace {

using testing::HasSubstr;

vcsm::failure example() {
    return {"allocate", "dma-heap", "frame", 3000000, "98304 bytes are free"};
}

TEST(an_error, is_one_sentence_with_operation_device_block_bytes_reason_and_remedy) {
    const vcsm::error failed{ENOMEM, example()};
    EXPECT_STREQ(failed.what(), "cannot allocate block \"frame\" of 3000000 bytes on dma-heap: Cannot allocate memory "
                                "(ENOMEM); 98304 bytes are free");
    EXPECT_EQ(failed.code(), std::error_code(ENOMEM, std::generic_category()));
    EXPECT_EQ(failed.details().block, "frame");
    EXPECT_EQ(failed.details().bytes, 3000000U);
}

TEST(an_error, leaves_out_what_is_not_known) {
    EXPECT_STREQ((vcsm::error{EIO, {"lock", "", "", std::nullopt, ""}}.what()),
                 "cannot lock: Input/output error (EIO)");
    EXPECT_THAT((vcsm::error{9999, {}}.what()), HasSubstr("9999"));
}

TEST(an_error, keeps_its_sentence_when_copied) {
    const vcsm::error failed{EIO, example()};
    const vcsm::error copy{failed}; // NOLINT(performance-unnecessary-copy-initialization): what the test is about
    EXPECT_STREQ(copy.what(), failed.what());
    static_assert(std::is_nothrow_copy_constructible_v<vcsm::error>);
}

TEST(an_error, has_the_type_of_its_errno) {
    EXPECT_THROW(vcsm::throw_error(ENOMEM, example()), vcsm::out_of_memory);
    EXPECT_THROW(vcsm::throw_error(ENOTSUP, example()), vcsm::not_supported);
    EXPECT_THROW(vcsm::throw_error(EIO, example()), vcsm::error);
}

TEST(cache_modes, have_names_and_unknown_names_list_them) {
    for (const auto mode :
         {vcsm::cache_mode::none, vcsm::cache_mode::host, vcsm::cache_mode::videocore, vcsm::cache_mode::both}) {
        EXPECT_EQ(vcsm::parse_cache_mode(vcsm::to_string(mode)), mode);
    }
    try {
        (void)vcsm::parse_cache_mode("HOST");
        FAIL();
    } catch (const std::invalid_argument& unknown) {
        EXPECT_THAT(unknown.what(), HasSubstr("none, host, videocore and both"));
    }
}

} // namespace
