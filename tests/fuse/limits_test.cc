// SPDX-License-Identifier: MIT
// What docs/POSIX.md says cannot be had through FUSE, claim by claim: who reads there that a call
// fails, and how, can rely on it; and where a kernel learns to pass something on, this says so.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/quota.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "fs/base/unique_fd.h"
#include "tests/fuse/posix.h"

using namespace exo;
using namespace exo::test;

namespace {

unique_fd open_file(const std::string& path, int flags) {
    return unique_fd(open(path.c_str(), flags | O_CLOEXEC, 0644));
}

// Takes all the room that there is.
void fill(const MountedImage& fs) {
    const unique_fd file = open_file(fs.path("filler"), O_RDWR | O_CREAT);
    off_t at = 0;
    for (off_t step = 64 << 20; step >= 4096;)
        if (fallocate(file.get(), 0, at, step) == 0)
            at += step;
        else
            step /= 2;
}

}  // namespace

TEST_CASE("what the kernel refuses before the daemon sees it") {
    Folder folder;
    REQUIRE(write_file(folder / "file", pattern(100000, 1)));
    const unique_fd file = open_file(folder / "file", O_RDWR);
    for (const int mode :
         {FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE})
        CHECK_ERRNO(fallocate(file.get(), mode, 0, 4096), EOPNOTSUPP);
    const unique_fd other = open_file(folder / "other", O_RDWR | O_CREAT);
    CHECK_ERRNO(ioctl(other.get(), FICLONE, file.get()), EOPNOTSUPP);
    file_clone_range range{file.get(), 0, 4096, 0};
    CHECK_ERRNO(ioctl(other.get(), FICLONERANGE, &range), EOPNOTSUPP);
    alignas(fiemap) char map[sizeof(fiemap) + 4 * sizeof(fiemap_extent)]{};
    reinterpret_cast<fiemap*>(map)->fm_length = 100000;
    reinterpret_cast<fiemap*>(map)->fm_extent_count = 4;
    CHECK_ERRNO(ioctl(file.get(), FS_IOC_FIEMAP, map), EOPNOTSUPP);
    CHECK_ERRNO(ioctl(file.get(), FIFREEZE, 0), EOPNOTSUPP);
    // Nothing of it did anything.
    CHECK(read_file(folder / "file") == pattern(100000, 1));
    CHECK(status_of(folder / "other").st_size == 0);
    struct statx info{};
    REQUIRE(statx(file.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, &info) == 0);
    CHECK((info.stx_mask & STATX_DIOALIGN) == 0);
}

TEST_CASE("deduplication is refused") {
    Folder folder;
    REQUIRE(write_file(folder / "a", pattern(8192, 1)));
    REQUIRE(write_file(folder / "b", pattern(8192, 1)));
    const unique_fd a = open_file(folder / "a", O_RDONLY), b = open_file(folder / "b", O_RDWR);
    alignas(
        file_dedupe_range) char bytes[sizeof(file_dedupe_range) + sizeof(file_dedupe_range_info)]{};
    auto* range = reinterpret_cast<file_dedupe_range*>(bytes);
    range->src_length = 8192;
    range->dest_count = 1;
    range->info[0].dest_fd = b.get();
    CHECK_ERRNO(ioctl(a.get(), FIDEDUPERANGE, range), EOPNOTSUPP);
}

TEST_CASE("files are no swap space") {
    Folder folder;
    std::string space(1 << 20, '\0');
    const uint32_t header[] = {1, uint32_t(space.size() / 4096 - 1), 0};
    memcpy(space.data() + 1024, header, sizeof header);
    memcpy(space.data() + 4086, "SWAPSPACE2", 10);
    REQUIRE(write_file(folder / "swap", space));
    REQUIRE(chmod((folder / "swap").c_str(), 0600) == 0);
    const int code = errno_of([&] { return swapon((folder / "swap").c_str(), 0); });
    if (code == 0) swapoff((folder / "swap").c_str());
    if (code == EPERM || code == ENOSYS) {
        MESSAGE("skipped: nothing may be made swap space here");
        return;
    }
    CHECK_MESSAGE(code == EINVAL, name_of_errno(code));
}

TEST_CASE("no quotas, no project ids; attribute flags are not set by chattr") {
    Folder folder;
    const unique_fd file = open_file(folder / "file", O_RDWR | O_CREAT);
    uint32_t format = 0;
    CHECK_ERRNO(syscall(SYS_quotactl_fd, file.get(), QCMD(Q_GETFMT, USRQUOTA), 0, &format), ENOSYS);
    fsxattr attributes{};
    CHECK_ERRNO(ioctl(file.get(), FS_IOC_FSGETXATTR, &attributes), 0);
    CHECK_ERRNO(ioctl(file.get(), FS_IOC_FSSETXATTR, &attributes), 0);
    attributes.fsx_projid = 5;
    CHECK_ERRNO(ioctl(file.get(), FS_IOC_FSSETXATTR, &attributes), EOPNOTSUPP);
    for (const int flag : {FS_IMMUTABLE_FL, FS_APPEND_FL, FS_NODUMP_FL, FS_COMPR_FL})
        CHECK_ERRNO(ioctl(file.get(), FS_IOC_SETFLAGS, &flag), EOPNOTSUPP);
    CHECK_ERRNO(write(file.get(), "x", 1), 0);
}

TEST_CASE("a part of the volume cannot be trimmed") {
    const unique_fd root = open_file(shared_mount().directory(), O_RDONLY);
    for (fstrim_range range : {fstrim_range{4096, UINT64_MAX, 0}, fstrim_range{0, 1 << 20, 0}})
        CHECK_ERRNO(ioctl(root.get(), FITRIM, &range), EOPNOTSUPP);
}

TEST_CASE(
    "the kernel takes what a full volume cannot hold; fsync, direct I/O and fallocate say so") {
    MountedImage fs({.size_bytes = 32u << 20});
    fill(fs);
    const std::string text = pattern(1 << 20, 1);
    {
        const unique_fd cached = open_file(fs.path("cached"), O_RDWR | O_CREAT);
        CHECK_ERRNO(write(cached.get(), text.data(), text.size()), 0);
        CHECK_ERRNO(fsync(cached.get()), ENOSPC);
    }
    const unique_fd sync = open_file(fs.path("sync"), O_WRONLY | O_CREAT | O_SYNC);
    CHECK_ERRNO(write(sync.get(), text.data(), text.size()), ENOSPC);
    const unique_fd file = open_file(fs.path("file"), O_RDWR | O_CREAT);
    CHECK_ERRNO(fallocate(file.get(), 0, 0, 1 << 20), ENOSPC);
    const unique_fd direct = open_file(fs.path("direct"), O_WRONLY | O_CREAT | O_DIRECT);
    std::unique_ptr<void, void (*)(void*)> buffer(aligned_alloc(4096, 1 << 20), free);
    memset(buffer.get(), 'd', 1 << 20);
    // Some may have found room.
    ssize_t last = 1;
    for (int i = 0; i < 64 && last > 0; i++) last = write(direct.get(), buffer.get(), 1 << 20);
    CHECK(last == -1);
    CHECK(errno == ENOSPC);
}

TEST_CASE("reading what is cached sets no access time") {
    MountedImage fs;
    REQUIRE(fs.umount() == 0);
    REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-o", "strictatime"}) == 0);
    REQUIRE(write_file(fs.path("f"), "text"));
    CHECK(read_file(fs.path("f")) == "text");
    const timespec old[2] = {{1000, 0}, {2000, 0}};
    REQUIRE(utimensat(AT_FDCWD, fs.path("f").c_str(), old, 0) == 0);
    CHECK(read_file(fs.path("f")) == "text");
    CHECK(status_of(fs.path("f")).st_atim.tv_sec == 1000);
}

TEST_CASE("fsync of anything commits all that was done before; sync within seconds") {
    MountedImage fs;
    REQUIRE(mkdir(fs.path("folder").c_str(), 0755) == 0);
    REQUIRE(write_file(fs.path("folder/before"), pattern(50000, 1)));
    REQUIRE(rename(fs.path("folder").c_str(), fs.path("moved").c_str()) == 0);
    REQUIRE(write_file(fs.path("other"), "x"));
    {
        const unique_fd other = open_file(fs.path("other"), O_RDONLY);
        REQUIRE(fsync(other.get()) == 0);
    }
    fs.kill_daemon();
    CHECK(fs.umount() == 0);
    REQUIRE(fs.mount() == 0);
    CHECK(read_file(fs.path("moved/before")) == pattern(50000, 1));
    {
        const unique_fd late = open_file(fs.path("late"), O_WRONLY | O_CREAT);
        REQUIRE(write(late.get(), "late", 4) == 4);
        REQUIRE(syncfs(late.get()) == 0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(6500));
    fs.kill_daemon();
    CHECK(fs.umount() == 0);
    REQUIRE(fs.mount() == 0);
    CHECK(read_file(fs.path("late")) == "late");
}

TEST_CASE("file handles are good while the kernel remembers the file") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("f"), "by handle"));
    alignas(file_handle) char bytes[sizeof(file_handle) + MAX_HANDLE_SZ];
    auto* handle = reinterpret_cast<file_handle*>(bytes);
    handle->handle_bytes = MAX_HANDLE_SZ;
    int mount_id = 0;
    REQUIRE(name_to_handle_at(AT_FDCWD, fs.path("f").c_str(), handle, &mount_id, 0) == 0);
    const auto read_it = [&] {
        const unique_fd root = open_file(fs.directory(), O_RDONLY);
        const unique_fd file(open_by_handle_at(root.get(), handle, O_RDONLY));
        if (!file) return errno;
        char text[10]{};
        CHECK(read(file.get(), text, 9) == 9);
        CHECK(std::string(text) == "by handle");
        return 0;
    };
    CHECK(read_it() == 0);
    REQUIRE(fs.umount() == 0);
    REQUIRE(fs.mount() == 0);
    CHECK(read_it() == ESTALE);
}

TEST_CASE("overlayfs takes it as a lower layer, not as the upper one") {
    MountedImage fs;
    const std::string beside = fs.directory() + "-overlay";
    for (const char* name : {"", "/merged", "/lower", "/upper", "/work"})
        std::filesystem::create_directory(beside + name);
    for (const char* name : {"lower", "upper", "work"})
        std::filesystem::create_directory(fs.path(name));
    REQUIRE(write_file(fs.path("lower/file"), "below"));
    const auto overlay = [&](const std::string& lower, const std::string& upper) {
        const std::string options =
            "lowerdir=" + lower + "/lower,upperdir=" + upper + "/upper,workdir=" + upper + "/work";
        return errno_of([&] {
            return mount("overlay", (beside + "/merged").c_str(), "overlay", 0, options.c_str());
        });
    };
    const int below = overlay(fs.directory(), beside);
    if (below == ENODEV || below == EPERM) {
        MESSAGE("skipped: this kernel has no overlayfs");
        return;
    }
    CHECK(below == 0);
    if (below == 0) {
        CHECK(read_file(beside + "/merged/file") == "below");
        CHECK(write_file(beside + "/merged/file", "above"));
        CHECK(read_file(beside + "/merged/file") == "above");
        CHECK(read_file(fs.path("lower/file")) == "below");
        CHECK(umount((beside + "/merged").c_str()) == 0);
    }
    const int above = overlay(beside, fs.directory());
    CHECK(above == EINVAL);
    if (above == 0) umount((beside + "/merged").c_str());
}

TEST_CASE("mounts with other owners (idmapped) are refused") {
    MountedImage fs;
    // A user namespace with a map, to name it by.
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        const bool made = unshare(CLONE_NEWUSER) == 0;
        char wait;
        if (read(ends[0], &wait, 1) < 0) _exit(2);
        _exit(made ? 0 : 1);
    }
    close(ends[0]);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const std::string process = "/proc/" + std::to_string(child);
    std::ofstream(process + "/uid_map") << "0 100000 1000\n";
    std::ofstream(process + "/gid_map") << "0 100000 1000\n";
    const unique_fd users = open_file(process + "/ns/user", O_RDONLY);
    const unique_fd tree(
        int(syscall(SYS_open_tree, AT_FDCWD, fs.directory().c_str(), OPEN_TREE_CLONE | O_CLOEXEC)));
    int code = -1;
    if (users && tree) {
        mount_attr attributes{};
        attributes.attr_set = MOUNT_ATTR_IDMAP;
        attributes.userns_fd = uint64_t(users.get());
        code = errno_of([&] {
            return int(syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes,
                               sizeof attributes));
        });
    }
    close(ends[1]);
    int status = 0;
    waitpid(child, &status, 0);
    if (code == -1 || status != 0) {
        MESSAGE("skipped: no user namespace can be made here");
        return;
    }
    CHECK(code == EINVAL);
}
