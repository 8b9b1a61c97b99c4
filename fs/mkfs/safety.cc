// SPDX-License-Identifier: MIT
// Whether something of value would be lost by making a file system here.
#include <blkid/blkid.h>
#include <fcntl.h>
#include <mntent.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "fs/base/unique_fd.h"
#include "fs/format/superblock.h"
#include "fs/mkfs/mkfs.h"

namespace exo {

namespace {

Result<> check_not_mounted(const std::string& path, const struct stat& info) {
    std::unique_ptr<FILE, int (*)(FILE*)> mounts(setmntent("/proc/self/mounts", "r"), endmntent);
    if (!mounts) return {};
    mntent found{};
    std::vector<char> text(8192);
    while (const mntent* entry = getmntent_r(mounts.get(), &found, text.data(), int(text.size()))) {
        struct stat source;
        if (entry->mnt_fsname[0] != '/' || stat(entry->mnt_fsname, &source) != 0) continue;
        const bool same = S_ISBLK(info.st_mode)
                              ? S_ISBLK(source.st_mode) && source.st_rdev == info.st_rdev
                              : source.st_dev == info.st_dev && source.st_ino == info.st_ino;
        if (same)
            return fail(EBUSY, path + ": is mounted on " + entry->mnt_dir +
                                   "; unmount it first (umount " + entry->mnt_dir + ")");
    }
    if (S_ISBLK(info.st_mode)) {
        const unique_fd fd(open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
        if (!fd && errno == EBUSY)
            return fail(EBUSY, path +
                                   ": the device is in use (mounted, or part of another device); "
                                   "release it first");
    }
    return {};
}

Result<> check_signatures(const std::string& path) {
    const std::string advice = "; use --force to overwrite it";
    char start[sizeof(Superblock)] = {};
    {
        const unique_fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!fd) return fail(errno, path + ": cannot be opened: " + errno_text(errno));
        if (pread(fd.get(), start, sizeof start, 0) == ssize_t(sizeof start) &&
            memcmp(start + offsetof(Superblock, magic), kSuperblockMagic, 8) == 0)
            return fail(EEXIST, path + ": holds an exo file system" + advice);
    }
    std::unique_ptr<std::remove_pointer_t<blkid_probe>, void (*)(blkid_probe)> probe(
        blkid_new_probe_from_filename(path.c_str()), blkid_free_probe);
    if (!probe) return {};  // too small to hold anything
    blkid_probe_enable_superblocks(probe.get(), 1);
    blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL);
    blkid_probe_enable_partitions(probe.get(), 1);
    const int found = blkid_do_fullprobe(probe.get());
    if (found == 1) return {};
    const char* type = nullptr;
    if (found == 0 && blkid_probe_lookup_value(probe.get(), "TYPE", &type, nullptr) == 0)
        return fail(EEXIST, path + ": holds a " + type + " file system" + advice);
    if (found == 0 && blkid_probe_lookup_value(probe.get(), "PTTYPE", &type, nullptr) == 0)
        return fail(EEXIST, path + ": holds a " + type + " partition table" + advice);
    return {};
}

}  // namespace

Result<> mkfs_safety_check(const std::string& path, bool force) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0)
        return fail(errno, path + ": " + errno_text(errno) + "; check the device name");
    EXO_TRY(check_not_mounted(path, info));
    if (force) return {};
    return check_signatures(path);
}

}  // namespace exo
