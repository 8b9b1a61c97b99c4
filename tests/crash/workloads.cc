// SPDX-License-Identifier: MIT
// The list of workloads. tests/crash/CMakeLists.txt names them again, and a test compares.
#include "tests/crash/workloads.h"

namespace exo::test {

const std::vector<Workload>& workloads() {
    static const MountOptions with_discard = [] {
        MountOptions options;
        options.discard = true;
        return options;
    }();
    static const std::vector<Workload> all = {
        {"kinds", script_kinds},
        {"rename", script_rename},
        {"links", script_links},
        {"attributes", script_attributes},
        {"xattrs", script_xattrs},
        {"directory", script_directory},
        {"unnamed", script_unnamed},
        {"wrap", script_wrap},
        {"unmount", script_unmount},
        {"append", script_append},
        {"overwrite", script_overwrite},
        {"truncate", script_truncate},
        {"allocate", script_allocate},
        {"punch", script_punch},
        {"extents", script_extents},
        {"copy", script_copy},
        {"pins", script_pins},
        {"leases", script_leases},
        {"reuse", script_reuse},
        {"full", script_full},
        {"discard", script_discard, with_discard},
        {"medley", script_medley, with_discard},
    };
    return all;
}

}  // namespace exo::test
