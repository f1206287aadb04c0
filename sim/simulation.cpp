#include "simulation.hpp"

#include "nodes/vcio.hpp"
#include "nodes/vcsm_legacy.hpp"

#include <algorithm>
#include <iostream>

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vcsm::sim {

namespace {

std::shared_ptr<videocore::model> memory_for(const options& chosen) {
    videocore::model_options wanted;
    wanted.memory = chosen.memory_bytes != 0 ? chosen.memory_bytes : chosen.model->memory_bytes;
    wanted.bus_base = chosen.model->bus_base;
    wanted.one_arena = false;
    wanted.faults = chosen.faults;
    return videocore::model::make(wanted);
}

std::shared_ptr<videocore::model> rest_of_the_machine() {
    videocore::model_options wanted;
    wanted.memory = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * kernel::page_size();
    wanted.bus_base = 0;
    wanted.one_arena = false;
    return videocore::model::make(wanted);
}

bool is_over(const kernel::unique_fd& process) {
    pollfd asked{process.get(), POLLIN, 0};
    return ::poll(&asked, 1, 0) == 1;
}

} // namespace

simulation::simulation(const options& wanted, std::unique_ptr<sim::listener> seccomp_listener, std::string scratch)
    : chosen{wanted}, listener{std::move(seccomp_listener)}, tree{*wanted.model, std::move(scratch)}, paths{tree},
      nodes{tree}, buffers{lifetimes, report}, trace{wanted.trace, wanted.trace_path}, memory{memory_for(wanted)},
      ordinary{rest_of_the_machine()} {
    buffers.strict = wanted.strict;
    if (wanted.model->legacy) {
        legacy = std::make_unique<legacy_device>(*this);
    }
    if (wanted.model->videocore) {
        mailbox = std::make_unique<mailbox_memory>(*this);
    }
}

simulation::~simulation() = default;

finding simulation::about(const request& by, std::string call_name, std::string detail) const {
    const pid_t process = process_of(by.who);
    return {name_of(process), process, "", 0, 0, std::move(call_name), std::move(detail)};
}

answer simulation::crash(const request& by, const std::string& call_name, const std::string& what_happens) {
    if (!listener->waits(by.id)) {
        return answer::failure(EIO); // killed meanwhile, and its arguments and descriptors gone before they were read
    }
    report.kernel_crashes.push_back(about(by, call_name, what_happens));
    const finding& noted = report.kernel_crashes.back();
    std::cerr << "vcsm-sim: " << noted.process << " (" << noted.pid << "): this " << call_name
              << " crashes a board's kernel: " << what_happens << '\n';
    watch_process(noted.pid);
    ::kill(noted.pid, SIGKILL);
    return answer::failure(EIO);
}

answer simulation::give(const request& to, const kernel::unique_fd& file, bool close_on_exec) {
    const int number = listener->give(to.id, file.get(), close_on_exec, true);
    if (number < 0) {
        return answer::failure(-number);
    }
    return {answer::kind::done, number, 0};
}

void simulation::notice_what_is_gone(bool for_sure) {
    for (const std::uint64_t id : for_sure ? lifetimes.gone_for_sure() : lifetimes.gone()) {
        if (const auto which = buffers.find(id)) {
            const auto maker = processes.find(which->maker);
            // A process that is gone without having said so was ended by a signal.
            const bool killed = maker != processes.end() && !maker->second.exits && is_over(maker->second.pidfd);
            buffers.gone(id, killed);
        } else if (legacy) {
            legacy->closed(id);
        }
    }
}

void simulation::measure() {
    const videocore::room room = memory->room();
    report.peak_bytes = std::max(report.peak_bytes, room.total - room.free);
    if (room.free > 0) {
        report.fragmentation =
            std::max(report.fragmentation, 1.0 - static_cast<double>(room.largest) / static_cast<double>(room.free));
    }
}

void simulation::watch_process(pid_t process) {
    if (processes.count(process) != 0) {
        return;
    }
    kernel::unique_fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, process, 0))};
    if (!pidfd) {
        return;
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = (std::uint64_t{1} << 32) | static_cast<std::uint32_t>(process);
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd.get(), &event);
    processes[process] = {std::move(pidfd), "", false};
}

pid_t simulation::process_of(const target& who) const {
    // A number that is known as a living process's is no other thread's.
    return processes.count(who.thread()) != 0 ? who.thread() : who.process();
}

buffers::made simulation::add_buffer(const request& by, buffer described, int flags) {
    const pid_t maker = process_of(by.who);
    watch_process(maker);
    const auto known = processes.find(maker);
    if (known == processes.end()) {
        return buffers.add(maker, name_of(maker), std::move(described), flags);
    }
    if (known->second.name.empty()) {
        known->second.name = name_of(maker);
    }
    return buffers.add(maker, known->second.name, std::move(described), flags);
}

} // namespace vcsm::sim
