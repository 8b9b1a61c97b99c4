// SPDX-License-Identifier: MIT
#include "fs/fuse/mount_record.h"

#include <libmount/libmount.h>

#include <memory>

namespace exo::fuse {
namespace {

using Update = std::unique_ptr<libmnt_update, void (*)(libmnt_update*)>;

void write_record(libmnt_fs* fs, const char* target) {
    const Update update(mnt_new_update(), mnt_free_update);
    if (update && mnt_update_set_fs(update.get(), 0, target, fs) == 0)
        mnt_update_table(update.get(), nullptr);
}

}  // namespace

void record_mount(const std::string& device, const std::string& directory) {
    const std::unique_ptr<libmnt_fs, void (*)(libmnt_fs*)> fs(mnt_new_fs(), mnt_unref_fs);
    if (fs && mnt_fs_set_source(fs.get(), device.c_str()) == 0 &&
        mnt_fs_set_target(fs.get(), directory.c_str()) == 0 &&
        mnt_fs_set_fstype(fs.get(), "fuse.exo") == 0 &&
        mnt_fs_set_options(fs.get(), "helper=fuse.exo") == 0)
        write_record(fs.get(), nullptr);
}

void forget_mount(const std::string& directory) {
    write_record(nullptr, directory.c_str());
}

}  // namespace exo::fuse
