// SPDX-License-Identifier: MIT
// exo mount, exo umount in --help. Running them is mount_main's and umount_main's, which main calls
// before any command line of ours is parsed: mount(8) gives them one of its own.
#include "tools/exo/command.h"

namespace exo::tool {

void add_mount(CLI::App& app, Context& context) {
    auto* command =
        app.add_subcommand("mount", "Mount: exo mount DEVICE DIRECTORY [-f] [-o OPTIONS]");
    command->footer(
        "The same as mount -t exo DEVICE DIRECTORY. -F stays in the foreground. Options: ro, "
        "noatime, "
        "and what mount(8) lists for all file systems. Prints nothing on success; exit codes as in "
        "mount(8).");
    command->callback([&context] { context.run = [] { return kExitUsage; }; });
}

void add_umount(CLI::App& app, Context& context) {
    auto* command = app.add_subcommand("umount", "Unmount, and wait until the device is free");
    command->footer("exo umount DIRECTORY; umount(8) calls the same.");
    command->callback([&context] { context.run = [] { return kExitUsage; }; });
}

}  // namespace exo::tool
