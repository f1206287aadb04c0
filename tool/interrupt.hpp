// Ctrl-C and SIGTERM: what was allocated is freed before the command ends.
#pragma once

namespace tool {

/// From now on SIGINT, SIGTERM and SIGHUP are only noted. Interrupted calls are not restarted.
void note_interrupts();
/// Throws tool::interrupted if one was noted.
void throw_if_interrupted();
/// Returns when one is noted.
void wait_for_interrupt();

/// The command is to end as the signal would have ended it.
struct interrupted {
    int signal;
};

/// Ends the process by that signal, so that a shell sees what happened.
[[noreturn]] void end_by(interrupted what);

} // namespace tool
