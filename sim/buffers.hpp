// The dma-bufs of the programs: which there are, who made them, and what became of them.
#pragma once

#include "lifetime.hpp"
#include "report.hpp"
#include "target.hpp"
#include "videocore/model.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace vcsm::sim {

/// A process that ended with a block open.
struct last_holder {
    pid_t process = 0;
    std::string name;
    bool inherited = false; ///< it merely had what a fork gave it
    bool over = false;      ///< it is gone, and somebody else still held the block
};

/// One dma-buf as the kernel would know it.
struct buffer {
    std::uint64_t id = 0; ///< among the lifetimes
    std::shared_ptr<videocore::block> memory;
    std::string exporter;           ///< exp_name in fdinfo
    std::string name;               ///< as DMA_BUF_SET_NAME set it
    std::string label;              ///< for people: the name that the program gave to the driver
    std::size_t bytes = 0;          ///< whole pages
    bool contiguous = true;         ///< one piece of physical memory
    std::shared_ptr<buffer> source; ///< of an import
    unsigned attached = 0;          ///< imports of it that live
    pid_t maker = 0;
    std::string maker_name;
    std::uint64_t made_at = 0;        ///< clock ticks since the machine started
    std::string call;                 ///< that made it
    std::vector<last_holder> holders; ///< processes that ended with it
    pid_t exec_closes = 0;            ///< this process's exec is about to close it

    /// 0 for a block that VideoCore does not know.
    [[nodiscard]] std::uint32_t videocore_handle() const noexcept { return memory->videocore_handle(); }
    [[nodiscard]] finding describe(std::string detail = {}) const {
        return {maker_name, maker, label, memory->about().bytes, videocore_handle(), call, std::move(detail)};
    }
};

class buffers {
  public:
    buffers(lifetimes& watch, report& told) : watch_{watch}, report_{told} {}

    struct made {
        std::shared_ptr<buffer> which;
        kernel::unique_fd file; ///< to be given to the program
    };
    /// Watches over `described`, which process `maker` has made. `flags`: O_RDONLY or O_RDWR. Throws
    /// std::system_error.
    [[nodiscard]] made add(pid_t maker, std::string maker_name, buffer described, int flags);
    /// It never reached the program.
    void cancel(const std::shared_ptr<buffer>& which);
    /// Its last descriptor and mapping are gone.
    void gone(std::uint64_t id, bool maker_was_killed);

    [[nodiscard]] std::shared_ptr<buffer> find(std::uint64_t id) const;
    /// The one behind a program's descriptor, or nothing.
    [[nodiscard]] std::shared_ptr<buffer> find(const target& who, int descriptor, const struct stat& status) const;
    [[nodiscard]] const std::map<std::uint64_t, std::shared_ptr<buffer>>& all() const noexcept { return all_; }

    /// A process is about to end, or to become another program: what does it hold?
    void process_ends(pid_t process);
    void process_execs(pid_t process);
    /// It is gone for good; what it held and is still there has other holders.
    void process_gone(pid_t process);
    /// The run is over: whatever is left is reported.
    void finish();
    /// Whether writes that never reached VideoCore are reported.
    bool strict = false;

  private:
    [[nodiscard]] std::vector<std::shared_ptr<buffer>> held_by(pid_t process, bool close_on_exec_only) const;
    void drop(const std::shared_ptr<buffer>& which);
    void judge(buffer& which, bool maker_was_killed);

    lifetimes& watch_;
    report& report_;
    std::map<std::uint64_t, std::shared_ptr<buffer>> all_;
};

} // namespace vcsm::sim
