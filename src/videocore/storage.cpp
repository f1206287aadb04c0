#include "videocore/storage.hpp"

#include <array>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

namespace vcsm::videocore {

namespace {

constexpr std::string_view memfd_prefix = "vcsm:";
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr std::size_t longest_memfd_name = 249; // memfd_create(2)

std::span<std::byte> span_of(const kernel::mapping& mapped, std::size_t offset, std::size_t bytes) {
    return {mapped.data() + offset, bytes};
}

} // namespace

kernel::unique_fd make_memfd(const std::string& name, std::size_t bytes) {
    const std::string shown = (std::string{memfd_prefix} + name).substr(0, longest_memfd_name);
    kernel::unique_fd memfd{kernel::system().memfd_create(shown.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!memfd) {
        kernel::throw_errno("memfd_create");
    }
    if (kernel::retried([&] { return kernel::system().ftruncate(memfd.get(), static_cast<off_t>(bytes)); }) != 0) {
        kernel::throw_errno("ftruncate");
    }
    if (kernel::system().fcntl(memfd.get(), F_ADD_SEALS, seals) != 0) {
        kernel::throw_errno("fcntl(F_ADD_SEALS)");
    }
    return memfd;
}

std::size_t bytes_of_memfd(int descriptor) noexcept {
    std::array<char, 64> target{};
    const std::string_view wanted = "/memfd:vcsm:";
    if (kernel::link_of(descriptor, target).substr(0, wanted.size()) != wanted) {
        return 0;
    }
    struct stat status {};
    if (kernel::system().fcntl(descriptor, F_GET_SEALS, 0) != seals ||
        kernel::system().fstat(descriptor, &status) != 0 || status.st_size <= 0) {
        return 0;
    }
    return static_cast<std::size_t>(status.st_size);
}

void storage::begin_caching() {
    if (!cached_) {
        errno = ENOTSUP;
        kernel::throw_errno("cache");
    }
}

void storage::videocore_reads(std::size_t offset, std::span<std::byte> into) {
    std::memcpy(into.data(), bytes_.videocore.data() + offset, into.size());
}

void storage::videocore_writes(std::size_t offset, std::span<const std::byte> from) {
    std::memcpy(bytes_.videocore.data() + offset, from.data(), from.size());
}

arena::arena(std::size_t bytes) : bytes_{bytes} {
    memfd_ = make_memfd("videocore", 3 * bytes);
    videocore_ = kernel::map_shared(memfd_.get(), bytes);
}

void arena::map_cpu_regions() {
    const std::lock_guard guard{mutex_};
    if (!cpu_) {
        kernel::mapping cpu = kernel::map_shared(memfd_.get(), bytes_, static_cast<off_t>(bytes_));
        baseline_ = kernel::map_shared(memfd_.get(), bytes_, static_cast<off_t>(2 * bytes_));
        cpu_ = std::move(cpu);
    }
}

bool arena::give_pages_back(std::size_t region, std::size_t offset, std::size_t bytes) noexcept {
    const auto at = static_cast<off_t>(region * bytes_ + offset);
    return kernel::retried([&] {
               return kernel::system().fallocate(memfd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
                                                 static_cast<off_t>(bytes));
           }) == 0;
}

void arena::wipe(std::size_t region, std::size_t offset, std::size_t bytes) noexcept {
    if (!give_pages_back(region, offset, bytes)) {
        // The next owner must find zeros whatever the kernel says; the pages are then merely not given back.
        const kernel::mapping& mapped = region == 0 ? videocore_ : region == 1 ? cpu_ : baseline_;
        std::memset(mapped.data() + offset, 0, bytes);
    }
}

bool arena::map_over(int memfd, std::size_t offset, std::size_t bytes, off_t from) noexcept {
    std::byte* const address = videocore_.data() + offset;
    void* placed = nullptr;
    do { // as in kernel::map_shared()
        placed = kernel::system().mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, from);
    } while (placed != address && errno == EINTR);
    if (placed != address) {
        return false;
    }
    // Were this not done, the mapping would be inherited by a fork, where it would only be idle.
    kernel::system().madvise(address, bytes, MADV_DONTFORK);
    return true;
}

void arena::reclaim(std::size_t offset, std::size_t bytes) {
    const std::lock_guard guard{mutex_};
    auto at = strange_.lower_bound(offset);
    if (at != strange_.begin() && std::prev(at)->first + std::prev(at)->second > offset) {
        --at;
    }
    while (at != strange_.end() && at->first < offset + bytes) {
        if (!place_own(at->first, at->second)) {
            kernel::throw_errno("mmap");
        }
        wipe(0, at->first, at->second);
        at = strange_.erase(at);
    }
}

void arena::reclaim_later(ranges::node_type&& range) noexcept {
    const std::lock_guard guard{mutex_};
    strange_.insert(std::move(range));
}

void arena::place(int memfd, std::size_t offset, std::size_t bytes) {
    if (!map_over(memfd, offset, bytes, 0)) {
        const int failed = errno;
        (void)place_own(offset, bytes); // the kernel may have taken away what was there before it failed
        errno = failed;
        kernel::throw_errno("mmap");
    }
}

bool arena::place_own(std::size_t offset, std::size_t bytes) noexcept {
    return map_over(memfd_.get(), offset, bytes, static_cast<off_t>(offset));
}

void arena::abandon() noexcept {
    memfd_.reset();
    videocore_.forget();
    cpu_.forget();
    baseline_.forget();
}

class arena_storage final : public storage {
  public:
    arena_storage(std::shared_ptr<arena> home, std::size_t offset, std::size_t bytes, bool is_cached)
        : home_{std::move(home)}, offset_{offset}, size_{bytes} {
        home_->reclaim(offset, bytes);
        cached_ = is_cached;
        if (is_cached) {
            home_->map_cpu_regions();
            bytes_.cpu = span_of(home_->cpu_, offset, bytes);
            bytes_.baseline = span_of(home_->baseline_, offset, bytes);
        }
        bytes_.videocore = span_of(home_->videocore_, offset, bytes);
    }

    ~arena_storage() override {
        if (!home_->memfd_) {
            return; // abandoned: in the child of a fork nothing of this is mapped
        }
        if (placed_ && !home_->place_own(offset_, size_)) {
            // No memory for a mapping. The memfd's pages stay where they are, untouched, for somebody else may still
            // have a descriptor of them; who gets the range next tries again.
            home_->reclaim_later(std::move(for_later_));
        } else {
            home_->wipe(0, offset_, size_);
        }
        if (cached_) {
            home_->wipe(1, offset_, size_);
            home_->wipe(2, offset_, size_);
        }
    }

    void show(kernel::unique_fd memfd) {
        ranges this_one{{offset_, size_}};
        for_later_ = this_one.extract(this_one.begin());
        home_->place(memfd.get(), offset_, size_);
        placed_ = true;
        own_ = std::move(memfd);
    }

    int videocore_memfd() override {
        if (!own_) {
            if (placed_) {
                errno = EBADF; // its descriptors were closed
                kernel::throw_errno("export");
            }
            kernel::unique_fd memfd = make_memfd("block", size_);
            for (std::size_t done = 0; done < size_;) {
                const ssize_t put = kernel::retried(
                    [&] { return kernel::system().write(memfd.get(), bytes_.videocore.data() + done, size_ - done); });
                if (put < 0) {
                    kernel::throw_errno("write");
                }
                done += static_cast<std::size_t>(put);
            }
            show(std::move(memfd));
            (void)home_->give_pages_back(0, offset_, size_); // the arena's own under it, which nobody maps now
        }
        return own_.get();
    }

    void videocore_reads(std::size_t offset, std::span<std::byte> into) override {
        if (placed_ && !own_) {
            return storage::videocore_reads(offset, into); // freed: its descriptors are closed, nobody guards it
        }
        while (!into.empty()) {
            const ssize_t got = kernel::retried(
                [&] { return kernel::system().pread(memfd(), into.data(), into.size(), memfd_offset(offset)); });
            if (got <= 0) {
                errno = got == 0 ? EIO : errno;
                kernel::throw_errno("pread");
            }
            into = into.subspan(static_cast<std::size_t>(got));
            offset += static_cast<std::size_t>(got);
        }
    }
    void videocore_writes(std::size_t offset, std::span<const std::byte> from) override {
        if (placed_ && !own_) {
            return storage::videocore_writes(offset, from);
        }
        while (!from.empty()) {
            const ssize_t put = kernel::retried(
                [&] { return kernel::system().pwrite(memfd(), from.data(), from.size(), memfd_offset(offset)); });
            if (put < 0) {
                kernel::throw_errno("pwrite");
            }
            from = from.subspan(static_cast<std::size_t>(put));
            offset += static_cast<std::size_t>(put);
        }
    }

    int cpu_memfd() const noexcept override { return cached_ ? -1 : own_.get(); }
    bool exported() const noexcept override { return static_cast<bool>(own_); }
    void close_descriptors() noexcept override { own_.reset(); }

  private:
    /// Where VideoCore's bytes are.
    [[nodiscard]] int memfd() const noexcept { return own_ ? own_.get() : home_->memfd_.get(); }
    [[nodiscard]] off_t memfd_offset(std::size_t offset) const noexcept {
        return static_cast<off_t>(own_ ? offset : offset_ + offset);
    }

    std::shared_ptr<arena> home_;
    std::size_t offset_;
    std::size_t size_;
    bool placed_ = false;
    ranges::node_type for_later_; // there since it was placed, so that its end needs no memory
    kernel::unique_fd own_;
};

std::unique_ptr<storage> arena::at(std::size_t offset, std::size_t bytes, bool cached) {
    return std::make_unique<arena_storage>(shared_from_this(), offset, bytes, cached);
}

std::unique_ptr<storage> arena::show(kernel::unique_fd memfd, std::size_t offset, std::size_t bytes, bool cached) {
    auto shown = std::make_unique<arena_storage>(shared_from_this(), offset, bytes, cached);
    shown->show(std::move(memfd));
    return shown;
}

namespace {

class memfd_storage final : public storage {
  public:
    memfd_storage(kernel::unique_fd memfd, std::size_t offset, std::size_t size, bool punch)
        : shared_{std::move(memfd)}, offset_{offset}, punch_{punch} {
        shared_map_ = kernel::map_shared(shared_.get(), size, static_cast<off_t>(offset));
        bytes_.videocore = span_of(shared_map_, 0, size);
    }

    ~memfd_storage() override {
        if (punch_) {
            kernel::system().fallocate(shared_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                       static_cast<off_t>(offset_), static_cast<off_t>(shared_map_.size()));
        }
    }

    void begin_caching() override {
        if (cached_) {
            return;
        }
        // The program's processes map the one descriptor that a block keeps; the mapping alone holds the rest.
        const std::size_t size = shared_map_.size();
        hidden_map_ = kernel::map_shared(make_memfd("videocore", 2 * size).get(), 2 * size);
        bytes_ = {span_of(hidden_map_, 0, size), span_of(shared_map_, 0, size), span_of(hidden_map_, size, size)};
        cached_ = true;
        clean(bytes_); // what the CPU wrote until now is in VideoCore's memory: it was not cached
    }

    int videocore_memfd() override {
        if (cached_) {
            errno = ENOTSUP; // VideoCore's bytes of a cached block have no descriptor of their own here
            kernel::throw_errno("export");
        }
        return shared_.get();
    }
    int cpu_memfd() const noexcept override { return shared_.get(); }
    bool exported() const noexcept override { return !cached_ && shared_; }
    void close_descriptors() noexcept override { shared_.reset(); }

  private:
    kernel::unique_fd shared_;
    std::size_t offset_;
    bool punch_;
    kernel::mapping shared_map_;
    kernel::mapping hidden_map_;
};

} // namespace

std::unique_ptr<storage> separate_storage(const std::string& name, std::size_t bytes, bool cached) {
    return storage_in(make_memfd(name, bytes), 0, bytes, cached, false);
}

std::unique_ptr<storage> storage_in(kernel::unique_fd memfd, std::size_t offset, std::size_t bytes, bool cached,
                                    bool punch) {
    auto made = std::make_unique<memfd_storage>(std::move(memfd), offset, bytes, punch);
    if (cached) {
        made->begin_caching();
    }
    return made;
}

} // namespace vcsm::videocore
