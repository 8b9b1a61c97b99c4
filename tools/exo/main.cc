// SPDX-License-Identifier: MIT
// The exo command: the table of subcommands, the names it may be called by, and the one place where
// failures become a line on stderr and an exit code.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "fs/fuse/mount_main.h"
#include "tools/exo/command.h"

namespace {

using namespace exo::tool;

constexpr const char* kDescription =
    "exo: a file system whose pinned files can be searched at the drive's completion.\n"
    "\n"
    "Three jobs:\n"
    "  mount     exo mkfs /dev/nvme0n1 && mount -t exo /dev/nvme0n1 /mnt\n"
    "  traverse  exo index build -o /mnt/my.index my.tsv && exo pin /mnt/my.index\n"
    "            exo prog load btree_lookup.bpf.o && exo lookup /mnt/my.index KEY\n"
    "  audit     exo audit --follow; exo grants; exo stats\n";

constexpr const char* kFooter =
    "\nexo COMMAND --help explains one command; exo(1) has everything.\n"
    "Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 failed (mount and fsck: as in "
    "mount(8), fsck(8)).";

// In the order in which --help shows them.
constexpr AddCommand kCommands[] = {
    add_mkfs,  add_fsck,   add_mount,   add_umount,  add_trim,    add_pin,
    add_unpin, add_map,    add_place,   add_index,   add_prog,    add_lookup,
    add_audit, add_grants, add_pins,    add_volumes, add_tenants, add_tenant_set,
    add_stats, add_info,   add_release, add_revoke,
};

std::string base_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

int run(int argc, char** argv) {
    Context context;
    CLI::App app(kDescription, "exo");
    app.footer(kFooter);
    app.require_subcommand(1);
    app.fallthrough();
    app.add_flag("--json", context.json, "Print JSON instead of text");
    app.set_version_flag("--version", "exo 0.1.0");
    for (AddCommand add : kCommands) add(app, context);
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp& e) {
        return app.exit(e);
    } catch (const CLI::CallForAllHelp& e) {
        return app.exit(e);
    } catch (const CLI::CallForVersion& e) {
        return app.exit(e);
    } catch (const CLI::ParseError& e) {
        std::fprintf(stderr, "exo: %s (see exo --help)\n", e.what());
        return app.got_subcommand("fsck") ? kExitFsckUsage : kExitUsage;
    }
    try {
        return context.run();
    } catch (const Failure& e) {
        std::fprintf(stderr, "exo: %s\n", e.what());
        return e.exit_code();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "exo: unexpected: %s\n", e.what());
        return kExitFailure;
    }
}

// Chooses by the name the command was called by.
int dispatch(int argc, char** argv) {
    const std::string name = base_name(argv[0]);
    // mount(8) and umount(8) have a command line of their own, which these two understand.
    if (name == "mount.exo") return exo::fuse::mount_main(argc, argv);
    if (name == "umount.fuse.exo" || name == "umount.exo")
        return exo::fuse::umount_main(argc, argv);
    const std::string command = argc > 1 ? argv[1] : "";
    if (command == "mount" || command == "umount") {
        for (int i = 2; i < argc; i++)
            if (std::string(argv[i]) == "--help" || std::string(argv[i]) == "-h")
                return run(argc, argv);
        std::string called = "exo " + command;
        std::vector<char*> arguments{called.data()};
        arguments.insert(arguments.end(), argv + 2, argv + argc);
        arguments.push_back(nullptr);
        return command == "mount" ? exo::fuse::mount_main(argc - 1, arguments.data())
                                  : exo::fuse::umount_main(argc - 1, arguments.data());
    }
    if (name == "mkfs.exo" || name == "fsck.exo") {
        std::string subcommand = name.substr(0, name.find('.'));
        std::vector<char*> arguments{argv[0], subcommand.data()};
        arguments.insert(arguments.end(), argv + 1, argv + argc);
        arguments.push_back(nullptr);
        return run(argc + 1, arguments.data());
    }
    return run(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return dispatch(argc, argv);
    } catch (...) {
        // Only memory that has run out comes here: run() answers everything else.
        std::fputs("exo: out of memory\n", stderr);
        return kExitFailure;
    }
}
