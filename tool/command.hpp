// What the command's parts have in common: one subcommand a file, one way to fail.
#pragma once

#include <stdexcept>
#include <string>

namespace CLI {
class App;
} // namespace CLI

namespace tool {

/// What was typed makes no sense: exit status 2. Everything else that is thrown is a failure: exit status 1.
class usage_error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// What was asked for failed, in one sentence.
class failed : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Each adds its subcommand to `app`, with a callback that does the work.
void add_send(CLI::App& app);
void add_devices(CLI::App& app);
void add_doctor(CLI::App& app);
void add_list(CLI::App& app);
void add_read(CLI::App& app);
void add_bench(CLI::App& app);

/// Makes the service use the device of that name, if there is one. Throws usage_error for an unknown one.
void use_device(const std::string& name);

} // namespace tool
