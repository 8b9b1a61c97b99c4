// SPDX-License-Identifier: MIT
// What is mounted where, from /proc/self/mountinfo. Reads only.
#pragma once

#include <string>
#include <vector>

namespace exo::fuse {

struct MountEntry {
    std::string
        device_id;  // "major:minor" of the superblock: equal for bind mounts of one file system
    std::string directory;
    std::string type;
    std::string source;
};

// In mount order: of several mounts on one directory the last one is on top.
std::vector<MountEntry> read_mount_table();

// The exo mount on top at `directory`, or null. The pointer lives as long as `table`.
const MountEntry* find_exo_mount(const std::vector<MountEntry>& table,
                                 const std::string& directory);

}  // namespace exo::fuse
