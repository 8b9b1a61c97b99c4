// SPDX-License-Identifier: MIT
// exo mount, exo umount in --help. Running them is mount_main's and umount_main's, which main calls
// before any command line of ours is parsed: mount(8) gives them one of its own.
#include <string>

#include "tools/exo/command.h"

namespace exo::tool {

namespace {

// It comes here only if something stands before the command, such as --json.
void refuse_what_comes_first(CLI::App& command, Context& context) {
    command.allow_extras();
    command.fallthrough(false);
    command.callback([&context, name = command.get_name()] {
        context.run = [name]() -> int {
            throw Failure(name + " comes first, and takes no --json (exo " + name + " --help)",
                          kExitUsage);
        };
    });
}

}  // namespace

void add_mount(CLI::App& app, Context& context) {
    auto* command =
        app.add_subcommand("mount", "Mount: exo mount DEVICE DIRECTORY [-F] [-o OPTIONS]");
    command->footer(
        "The same as mount -t exo DEVICE DIRECTORY. -F stays in the foreground, -f only tries. "
        "Options:\ndiscard, nokernel, allow_other, and what mount(8) lists for all file systems "
        "(exo(1)). Prints nothing\non success; exit codes as in mount(8).");
    refuse_what_comes_first(*command, context);
}

void add_umount(CLI::App& app, Context& context) {
    auto* command = app.add_subcommand("umount", "Unmount, and wait until the device is free");
    command->footer("exo umount DIRECTORY; umount(8) calls the same.");
    refuse_what_comes_first(*command, context);
}

}  // namespace exo::tool
