// vcsm-sim: a Raspberry Pi's VideoCore memory for any unmodified program.
#include "board.hpp"
#include "keeper.hpp"
#include "kernel/standard_streams.hpp"
#include "supervisor.hpp"
#include "videocore/faults.hpp"

#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>

namespace {

std::string from_environment(const char* name) {
    const char* const value = ::secure_getenv(name);
    return value == nullptr ? "" : value;
}

} // namespace

int main(int argc, char** argv) {
    namespace sim = vcsm::sim;
    vcsm::kernel::fill_closed_standard_streams();
    CLI::App app{"Runs a program that was made for a Raspberry Pi's VideoCore memory on this machine.\n"
                 "It finds /dev/vcsm-cma, /dev/dma_heap and their friends, over a VideoCore in software."};
    app.set_version_flag("--version", std::string{"vcsm-sim "} + VCSM_VERSION);

    sim::options chosen;
    std::string model = sim::boards().front().name;
    std::string memory;
    std::string known;
    for (const sim::board& each : sim::boards()) {
        known += known.empty() ? "" : ", ";
        known += each.name;
    }
    app.add_option("--model", model, "the Raspberry Pi to stand in for: " + known)->capture_default_str();
    app.add_option("--memory", memory, "VideoCore's memory, such as 64M; else VCSM_SIM_MEMORY, else the model's");
    app.add_option("--fail", chosen.faults,
                   "faults on demand, such as alloc@3=ENOMEM,sync@2=EINTR; else VCSM_SIM_FAULTS");
    app.add_option("--control", chosen.control_path, "where to make the socket through which a script is the GPU");
    app.add_option("--report", chosen.report_path, "write the report to this file, as JSON");
    app.add_flag("--trace", chosen.trace, "print each answered call, one line each, to standard error");
    app.add_option("--trace-file", chosen.trace_path, "the same, to this file");
    app.add_flag("--strict", chosen.strict, "report writes that were never synced and so never reached VideoCore");
    app.add_flag("--quiet", chosen.quiet, "no report on standard error");
    app.add_option("--error-exitcode", chosen.error_exit_code, "the exit code when there were leaks or kernel crashes")
        ->check(CLI::Range(1, 255));
    app.prefix_command();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        if (problem.get_exit_code() == 0) {
            return app.exit(problem);
        }
        std::cerr << "vcsm-sim: " << problem.what() << "; see vcsm-sim --help\n";
        return sim::exit_own_failure;
    }
    chosen.command = app.remaining();
    if (!chosen.command.empty() && chosen.command.front() == "--") {
        chosen.command.erase(chosen.command.begin());
    } else if (!chosen.command.empty() && chosen.command.front().front() == '-') {
        std::cerr << "vcsm-sim: there is no option " << chosen.command.front() << "; see vcsm-sim --help\n";
        return sim::exit_own_failure;
    }
    if (chosen.command.empty()) {
        std::cerr << "vcsm-sim: it needs a program to run: vcsm-sim [OPTIONS] [--] PROGRAM [ARGUMENTS...]\n";
        return sim::exit_own_failure;
    }
    try {
        chosen.trace = chosen.trace || !chosen.trace_path.empty();
        chosen.model = &sim::find_board(model);
        const std::string environment_memory = from_environment("VCSM_SIM_MEMORY");
        if (!memory.empty()) {
            chosen.memory_bytes = vcsm::videocore::parse_bytes(memory, "--memory");
        } else if (!environment_memory.empty()) {
            chosen.memory_bytes = vcsm::videocore::parse_bytes(environment_memory, "VCSM_SIM_MEMORY");
        }
        if (chosen.faults.empty()) {
            chosen.faults = from_environment("VCSM_SIM_FAULTS");
        }
        (void)vcsm::videocore::faults{chosen.faults}; // a mistake in it is said before the program starts
        return sim::keep(chosen);
    } catch (const std::exception& problem) {
        std::cerr << "vcsm-sim: " << problem.what() << '\n';
        return sim::exit_own_failure;
    }
}
