// SPDX-License-Identifier: MIT
// The options of a mount as mount(8) passes them: parses them, refuses unknown ones, and knows
// which are the kernel's (flags of mount(2)) and which are the daemon's. Mounting itself is
// elsewhere.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace exo::fuse {

struct MountRequest {
    std::string device;
    std::string directory;

    unsigned long mount_flags = 0;  // MS_* of mount(2)
    bool read_only = false;
    bool allow_other = false;
    bool default_permissions = true;
    bool discard = false;     // tell the device about freed blocks
    bool remount = false;     // change the flags of a mount that exists
    bool kernel_pins = true;  // attach to the kernel module where it is loaded

    bool foreground = false;  // stay in the foreground and log to stderr
    bool fake = false;        // mount(8) -f: check everything, mount nothing
    bool verbose = false;
    std::string mount_namespace;  // pid or path; empty: our own
};

// Adds the comma-separated list `text` of one -o to `options`. The error is one line for the user.
std::expected<void, std::string> parse_options(std::string_view text, MountRequest& options);

// Parses the whole command line of mount.exo: DEV DIR [-sfnv] [-N ns] [-o opts] [-t type], and our
// -F.
std::expected<MountRequest, std::string> parse_command_line(int argc, char** argv);

// What messages begin with: argv[0] without folders.
const char* base_name(const char* path);

// The real path, or as good as can be told without access to it (below the mount of a dead daemon).
std::string absolute_path(const char* path);

// -N of mount(8) and umount(8): a process id or the path of a namespace; empty stays here.
std::expected<void, std::string> enter_mount_namespace(const std::string& name);

}  // namespace exo::fuse
