// SPDX-License-Identifier: MIT
// mount.exo and umount.fuse.exo for the tests, with a fake of the kernel module. It is built for
// the tests only: the real programs have no way to a fake.
//   exo_mountd none|STATE_FOLDER DEVICE DIRECTORY [options of mount.exo]
//   exo_mountd umount DIRECTORY [options of umount.fuse.exo]
#include <string>

#include "fs/fuse/mount_main.h"
#include "tests/fuse/fake_pins.h"

int main(int argc, char** argv) {
    if (argc < 2) return exo::fuse::kExitUsage;
    const std::string state = argv[1];
    argv[1] = argv[0];
    if (state == "umount") return exo::fuse::umount_main(argc - 1, argv + 1);
    const exo::grants::KernelModule none{[](const std::string&) { return false; }, {}};
    return exo::fuse::mount_main(argc - 1, argv + 1,
                                 state == "none" ? none : exo::test::fake_module(state));
}
