// SPDX-License-Identifier: MIT
// umount.fuse.exo: unmounts and waits until the daemon has let go of the device.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "fs/base/result.h"
#include "fs/base/unique_fd.h"
#include "fs/fuse/mount_lock.h"
#include "fs/fuse/mount_main.h"
#include "fs/fuse/mount_options.h"
#include "fs/fuse/mount_record.h"
#include "fs/fuse/mount_table.h"

namespace exo::fuse {
namespace {

constexpr std::chrono::seconds kPatience{60};

int complain(const char* program, const std::string& message, int exit_code) {
    fprintf(stderr, "%s: %s\n", program, message.c_str());
    return exit_code;
}

// By directory, as umount(8) gives it to us, or by device: then the last one mounted.
const MountEntry* find_target(const std::vector<MountEntry>& table, const std::string& target) {
    if (const MountEntry* entry = find_exo_mount(table, target)) return entry;
    for (auto entry = table.rbegin(); entry != table.rend(); ++entry)
        if (entry->type == "fuse.exo" && entry->source == target) return &*entry;
    return nullptr;
}

std::string reason(int code) {
    return code == EBUSY ? "it is in use (fuser -vm shows by whom)" : describe(Error{code, {}});
}

}  // namespace

int umount_main(int argc, char** argv) {
    const char* program = base_name(argv[0]);
    constexpr const char* usage = "usage: umount.fuse.exo DIRECTORY|DEVICE [-flnrv] [-N NAMESPACE]";
    int flags = 0;
    std::string mount_namespace;
    optind = 0;
    opterr = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread
    for (int c; (c = getopt(argc, argv, "flnrvN:t:")) != -1;) {
        if (c == 'f')
            flags |= MNT_FORCE;
        else if (c == 'l')
            flags |= MNT_DETACH;
        else if (c == 'N')
            mount_namespace = optarg;
        else if (c == '?')
            return complain(program, usage, kExitUsage);
    }
    if (argc - optind != 1) return complain(program, usage, kExitUsage);
    if (const auto done = enter_mount_namespace(mount_namespace); !done)
        return complain(program, done.error(), kExitMountFailed);

    // realpath() fails on the mount of a dead daemon; its path was absolute already when umount(8)
    // calls us.
    const std::string target = absolute_path(argv[optind]);
    const auto table = read_mount_table();
    const MountEntry* entry = find_target(table, target);
    if (!entry) return complain(program, target + " is no exo mount", kExitMountFailed);

    if (geteuid() != 0) {
        execlp("fusermount3", "fusermount3", (flags & MNT_DETACH) ? "-uz" : "-u",
               entry->directory.c_str(), nullptr);
        return complain(program, "fusermount3 cannot be run", kExitMountFailed);
    }
    const bool daemon_is_dead = MountLock::wait_until_free(entry->source, std::chrono::seconds(0));
    if (umount2(entry->directory.c_str(), flags) != 0)
        return complain(program, "cannot umount " + entry->directory + ": " + reason(errno),
                        kExitMountFailed);

    if (daemon_is_dead) forget_mount(entry->directory);  // a living one does it itself

    // A bind mount, or a lazy umount: the daemon goes on for those who still use it.
    const auto left = read_mount_table();
    const bool goes_on =
        (flags & MNT_DETACH) != 0 || std::ranges::any_of(left, [&](const MountEntry& other) {
            return other.device_id == entry->device_id && other.type == entry->type;
        });
    if (!goes_on && !MountLock::wait_until_free(entry->source, kPatience))
        return complain(
            program,
            entry->directory + " is unmounted, but its daemon is still writing to " + entry->source,
            kExitMountFailed);
    return 0;
}

}  // namespace exo::fuse
