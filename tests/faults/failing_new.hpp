// Makes the n-th operator new throw, and counts what lives. The program that links it has its operators new and delete.
#pragma once

#include <cstdint>

namespace faults {

/// From here to the end of its life, news of this thread count, and the one with number `fail_at` (from 1; 0: none)
/// throws std::bad_alloc. Does not nest.
class news_watched {
  public:
    explicit news_watched(std::uint64_t fail_at, std::uint64_t counted_before = 0) noexcept;
    news_watched(const news_watched&) = delete;
    news_watched& operator=(const news_watched&) = delete;
    ~news_watched();

    /// How many there were, `counted_before` included.
    [[nodiscard]] static std::uint64_t counted() noexcept;
    /// Whether the one that was to fail has.
    [[nodiscard]] static bool failed() noexcept;
};

/// From here to the end of its life, news of this thread do not count: they are the harness's own. Nests.
class news_unwatched {
  public:
    news_unwatched() noexcept;
    news_unwatched(const news_unwatched&) = delete;
    news_unwatched& operator=(const news_unwatched&) = delete;
    ~news_unwatched();
};

/// How many pieces of memory this process has from operator new and has not given back.
[[nodiscard]] std::int64_t living_pieces() noexcept;

} // namespace faults
