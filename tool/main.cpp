// The command `vcsm`.
#include "command.hpp"
#include "interrupt.hpp"
#include "kernel/standard_streams.hpp"

#include <vcsm/vcsm.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace tool {

void use_device(const std::string& name) {
    if (name.empty()) {
        return;
    }
    try {
        vcsm::use(name);
    } catch (const std::invalid_argument& unknown) {
        throw usage_error{unknown.what()};
    }
}

namespace {

constexpr int status_failure = 1;
constexpr int status_usage = 2;

int say(const char* sentence, int status) {
    std::fprintf(stderr, "vcsm: %s\n", sentence);
    return status;
}

// CLI11 says "A subcommand is required" also where one was typed that it does not know.
std::string what_is_wrong(const CLI::App& app, const CLI::ParseError& parsed) {
    if (!app.get_subcommands().empty()) {
        return parsed.what();
    }
    std::string known;
    for (const CLI::App* const command : app.get_subcommands(nullptr)) {
        known += (known.empty() ? "" : ", ") + command->get_name();
    }
    const std::vector<std::string> unknown = app.remaining();
    if (unknown.empty()) {
        return "a command is wanted: there are " + known;
    }
    return (unknown.front().starts_with('-') ? "unknown option \"" : "unknown command \"") + unknown.front() +
           "\": the commands are " + known;
}

int run(int argc, char** argv) {
    CLI::App app{"Memory that a CPU and a Raspberry Pi's VideoCore share", "vcsm"};
    app.set_version_flag("--version", "vcsm " + std::string{vcsm::version()});
    app.require_subcommand(1);
    app.footer(
        "'vcsm COMMAND --help' explains one command.\n"
        "Exit status: 0, 1 for a failure, 2 for wrong usage.\n"
        "Environment: VCSM_DEVICE names the device; VCSM_SIM_MEMORY and VCSM_SIM_FAULTS shape the simulated one.");
    add_send(app);
    add_devices(app);
    add_list(app);
    add_read(app);
    add_doctor(app);
    add_bench(app);
    try {
        app.parse(argc, argv);
        return 0;
    } catch (const CLI::ParseError& parsed) {
        if (parsed.get_exit_code() == 0) {
            return app.exit(parsed); // --help, --version
        }
        return say((what_is_wrong(app, parsed) + " ('vcsm --help' shows how)").c_str(), status_usage);
    } catch (const usage_error& wrong) {
        return say(wrong.what(), status_usage);
    } catch (const std::exception& failure) {
        return say(failure.what(), status_failure);
    }
}

} // namespace

} // namespace tool

int main(int argc, char** argv) {
    vcsm::kernel::fill_closed_standard_streams();
    try {
        return tool::run(argc, argv);
    } catch (const tool::interrupted& by) {
        vcsm::stop_service();
        tool::end_by(by);
    }
}
