// What the handlers of the calls share, and the shape of a handler.
#pragma once

#include "board.hpp"
#include "buffers.hpp"
#include "filter.hpp"
#include "lifetime.hpp"
#include "node_files.hpp"
#include "paths.hpp"
#include "report.hpp"
#include "seccomp.hpp"
#include "target.hpp"
#include "trace.hpp"
#include "tree.hpp"
#include "videocore/model.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace vcsm::sim {

class legacy_device;
class mailbox_memory;

/// What the user asked for.
struct options {
    const board* model = nullptr;
    std::size_t memory_bytes = 0; ///< 0: the model's own
    std::string faults;
    std::string control_path; ///< empty: one of vcsm-sim's own
    std::string report_path;
    std::string trace_path;
    bool trace = false;
    bool strict = false;
    bool quiet = false;
    int error_exit_code = -1;
    std::vector<std::string> command;
};

/// One call of a program that waits for its answer.
struct request {
    std::uint64_t id = 0;
    call what = call::ioctl;
    target who{0};
    bool narrow = false; ///< of a 32-bit program
    std::array<std::uint64_t, 6> arguments{};

    [[nodiscard]] int descriptor(std::size_t number) const noexcept { return static_cast<int>(arguments[number]); }
    [[nodiscard]] std::uint32_t word(std::size_t number) const noexcept {
        return static_cast<std::uint32_t>(arguments[number]);
    }
};

/// What becomes of it.
struct answer {
    enum class kind : unsigned {
        pass,  ///< the kernel carries it out
        value, ///< it returns `value`, or fails with errno `error` where that is not 0
        done   ///< it was answered already
    };
    kind what = kind::pass;
    std::int64_t value = 0;
    int error = 0;

    [[nodiscard]] static answer pass() noexcept { return {}; }
    [[nodiscard]] static answer success(std::int64_t value = 0) noexcept { return {kind::value, value, 0}; }
    [[nodiscard]] static answer failure(int error) noexcept { return {kind::value, -1, error}; }
};

struct simulation {
    simulation(const options& chosen, std::unique_ptr<sim::listener> seccomp_listener, std::string scratch);
    ~simulation();

    /// A finding about the caller of a call.
    [[nodiscard]] finding about(const request& by, std::string call_name, std::string detail) const;
    /// The call would have brought a board's kernel down: notes it, and ends the process as the kernel would.
    answer crash(const request& by, const std::string& call_name, const std::string& what_happens);
    /// Gives the program a descriptor, which is what the call returns.
    answer give(const request& to, const kernel::unique_fd& file, bool close_on_exec);
    /// The fault that the user ordered for this call, or 0.
    [[nodiscard]] int fault(videocore::operation what, const request& by) {
        return memory->on_demand().next(what, static_cast<std::uint64_t>(by.who.thread()));
    }
    /// Frees what programs have let go of. After this, memory that is free is known to be.
    void notice_what_is_gone(bool for_sure = false);
    /// Notes the use of memory for the report.
    void measure();
    /// Watches over a block that the caller has made.
    [[nodiscard]] sim::buffers::made add_buffer(const request& by, buffer described, int flags);
    /// Starts to watch a process; done for each that makes a block, and for each that ends with one.
    void watch_process(pid_t process);
    /// The process of the calling thread.
    [[nodiscard]] pid_t process_of(const target& who) const;

    const options& chosen;
    std::unique_ptr<sim::listener> listener;
    sim::tree tree;
    path_resolver paths;
    node_files nodes;
    sim::lifetimes lifetimes;
    sim::report report;
    sim::buffers buffers;
    sim::trace trace;
    /// VideoCore's memory (the CMA area or the GPU's part), and the rest of the machine's.
    std::shared_ptr<videocore::model> memory;
    std::shared_ptr<videocore::model> ordinary;
    std::unique_ptr<legacy_device> legacy;
    std::unique_ptr<mailbox_memory> mailbox;

    struct watched_process {
        kernel::unique_fd pidfd;
        std::string name;   ///< empty: to be asked for again
        bool exits = false; ///< by a call of its own
    };
    std::map<pid_t, watched_process> processes;
    int epoll = -1; ///< where pidfds are added
};

// Handlers, a file each.
answer open_file(simulation& all, const request& asked);
answer look_at_file(simulation& all, const request& asked);
answer check_access(simulation& all, const request& asked);
answer read_link(simulation& all, const request& asked);
answer get_attribute(simulation& all, const request& asked);
answer list_directory(simulation& all, const request& asked);
answer use_descriptor(simulation& all, const request& asked);
answer use_mapping(simulation& all, const request& asked);
answer map_file(simulation& all, const request& asked);
answer control_device(simulation& all, const request& asked);

// ioctls, a file a device.
answer vcsm_cma_ioctl(simulation& all, const request& asked);
answer heap_ioctl(simulation& all, const request& asked, const entry& heap);
answer udmabuf_ioctl(simulation& all, const request& asked);
answer dma_buf_ioctl(simulation& all, const request& asked, const std::shared_ptr<buffer>& which);
answer vcio_ioctl(simulation& all, const request& asked);

/// The text of an answered file.
[[nodiscard]] std::string text_for(simulation& all, text_file which);
/// /proc/PID/fdinfo/N of a block.
[[nodiscard]] std::string information_on(const target& who, int descriptor, const buffer& which);
/// A descriptor to read `text` from.
[[nodiscard]] kernel::unique_fd file_with(const std::string& name, const std::string& text);

} // namespace vcsm::sim
