// SPDX-License-Identifier: MIT
// Who may change mode, owner and times, what that drops, and which times each operation sets.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>

#include <functional>
#include <set>
#include <vector>

#include "fs/base/unique_fd.h"
#include "tests/fuse/posix.h"

using namespace exo;
using namespace exo::test;

namespace {

mode_t bits(const std::string& path) {
    return status_of(path).st_mode & 07777;
}

void make(const std::string& path, uid_t uid, gid_t gid, mode_t mode) {
    REQUIRE(write_file(path, "content"));
    REQUIRE(chown(path.c_str(), uid, gid) == 0);
    REQUIRE(chmod(path.c_str(), mode) == 0);
}

bool later(const timespec& a, const timespec& b) {
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

int set_times(const std::string& path, const timespec& atime, const timespec& mtime) {
    const timespec times[2] = {atime, mtime};
    return utimensat(AT_FDCWD, path.c_str(), times, 0);
}

}  // namespace

TEST_CASE("only the owner and root change the mode; who is not in the group loses set-group-id") {
    const Folder folder;
    make(folder / "f", kAlice, kAlice, 0644);
    CHECK_ERRNO_AS(kBob, chmod((folder / "f").c_str(), 0777), EPERM);
    for (const mode_t mode : {0u, 0777u, 04755u, 01755u, 02755u, 07777u}) {
        CHECK_ERRNO_AS(kAlice, chmod((folder / "f").c_str(), mode), 0);
        CHECK(bits(folder / "f") == mode);
        REQUIRE(chmod((folder / "f").c_str(), mode) == 0);
        CHECK(bits(folder / "f") == mode);
    }
    REQUIRE(chown((folder / "f").c_str(), kAlice, kTeam) == 0);
    CHECK_ERRNO_AS(kAlice, chmod((folder / "f").c_str(), 02755), 0);
    CHECK(bits(folder / "f") == 0755);
}

TEST_CASE("owners give nothing away, groups only to groups they are in") {
    const Folder folder;
    make(folder / "f", kAlice, kTeam, 0644);
    CHECK_ERRNO_AS(kAlice, chown((folder / "f").c_str(), kBob, -1), EPERM);
    CHECK_ERRNO_AS(kAlice, chown((folder / "f").c_str(), -1, kBob), EPERM);
    CHECK_ERRNO_AS(kBob, chown((folder / "f").c_str(), -1, kBob), EPERM);
    CHECK_ERRNO_AS(kAlice, chown((folder / "f").c_str(), kAlice, kAlice), 0);
    CHECK(status_of(folder / "f").st_gid == kAlice);
    REQUIRE(symlink("f", (folder / "link").c_str()) == 0);
    REQUIRE(lchown((folder / "link").c_str(), kBob, kTeam) == 0);
    CHECK(status_of(folder / "link").st_uid == kBob);
    CHECK(status_of(folder / "f").st_uid == kAlice);
}

TEST_CASE("what drops set-user-id and set-group-id, and for whom") {
    const struct {
        const char* name;
        std::function<int(const std::string&)> change;
        bool root_too;
    } table[] = {
        {"write",
         [](const std::string& path) {
             const unique_fd fd(open(path.c_str(), O_WRONLY));
             return write(fd.get(), "x", 1) == 1 ? 0 : -1;
         },
         false},
        {"direct write",
         [](const std::string& path) {
             alignas(4096) static char page[4096] = {};
             const unique_fd fd(open(path.c_str(), O_WRONLY | O_DIRECT));
             return write(fd.get(), page, sizeof page) == sizeof page ? 0 : -1;
         },
         false},
        {"truncate", [](const std::string& path) { return truncate(path.c_str(), 3); }, false},
        {"open O_TRUNC",
         [](const std::string& path) {
             const unique_fd fd(open(path.c_str(), O_WRONLY | O_TRUNC));
             return fd ? 0 : -1;
         },
         false},
        {"fallocate",
         [](const std::string& path) {
             const unique_fd fd(open(path.c_str(), O_WRONLY));
             return fallocate(fd.get(), 0, 0, 65536);
         },
         false},
        {"chown", [](const std::string& path) { return chown(path.c_str(), getuid(), getgid()); },
         true},
    };
    for (const auto& row : table) {
        for (const mode_t mode : {06777u, 06767u, 04711u}) {
            const Folder folder;
            // Without execution for the group, set-group-id means something else and stays.
            const mode_t dropped = (mode & 010) ? mode & 0777 : mode & 02777;
            const std::string path = folder / "f";
            make(path, kAlice, kAlice, mode | 0600);
            CHECK_MESSAGE(errno_as(kAlice, [&] { return row.change(path); }) == 0, row.name);
            CHECK_MESSAGE(bits(path) == (dropped | 0600), row.name, " with ", mode);
            REQUIRE(chmod(path.c_str(), mode | 0600) == 0);
            CHECK_MESSAGE(row.change(path) == 0, row.name);
            CHECK_MESSAGE(bits(path) == ((row.root_too ? dropped : mode) | 0600), row.name,
                          " by root with ", mode);
        }
    }
}

TEST_CASE("writing drops security.capability") {
    const Folder folder;
    REQUIRE(write_file(folder / "f", "x"));
    // VFS_CAP_REVISION_2 with cap_net_raw permitted.
    const unsigned char capability[20] = {0, 0, 0, 2, 0, 0x20};
    REQUIRE(setxattr((folder / "f").c_str(), "security.capability", capability, 20, 0) == 0);
    CHECK(getxattr((folder / "f").c_str(), "security.capability", nullptr, 0) == 20);
    REQUIRE(write_file(folder / "f", "y"));
    CHECK_ERRNO(getxattr((folder / "f").c_str(), "security.capability", nullptr, 0), ENODATA);
}

TEST_CASE("utimensat: now, omit, a given time, and who may") {
    const Folder folder;
    const std::string path = folder / "f";
    make(path, kAlice, kAlice, 0666);
    const timespec old{1000000000, 123456789}, other{-1, 999999999}, now{0, UTIME_NOW},
        omit{0, UTIME_OMIT};
    CHECK_ERRNO(set_times(path, old, other), 0);
    CHECK(status_of(path).st_atim.tv_nsec == 123456789);
    CHECK(status_of(path).st_mtim.tv_sec == -1);
    CHECK(status_of(path).st_mtim.tv_nsec == 999999999);
    CHECK_ERRNO(set_times(path, omit, old), 0);
    CHECK(status_of(path).st_mtim.tv_sec == old.tv_sec);
    CHECK_ERRNO(set_times(path, now, omit), 0);
    CHECK(status_of(path).st_atim.tv_sec >= time(nullptr) - 10);
    CHECK(status_of(path).st_mtim.tv_sec == old.tv_sec);
    // Now is the now of every other change.
    for (int i = 0; i < 20; i++) {
        const std::string dir = folder / ("d" + std::to_string(i));
        REQUIRE(mkdir(dir.c_str(), 0755) == 0);
        REQUIRE(set_times(dir, now, now) == 0);
        const auto touched = status_of(dir).st_mtim;
        REQUIRE(mkdir((dir + "/inside").c_str(), 0755) == 0);
        CHECK(!later(touched, status_of(dir).st_mtim));
    }
    CHECK_ERRNO(set_times(path, {0, 1000000000}, omit), EINVAL);
    const auto before = status_of(path);
    CHECK_ERRNO(set_times(path, omit, omit), 0);
    CHECK(!later(status_of(path).st_ctim, before.st_ctim));
    // With the right to write: both to now. To another time: the owner only.
    CHECK_ERRNO_AS(kBob, set_times(path, now, now), 0);
    CHECK_ERRNO_AS(kBob, set_times(path, old, old), EPERM);
    CHECK_ERRNO_AS(kBob, set_times(path, now, omit), EPERM);
    CHECK_ERRNO_AS(kAlice, set_times(path, old, omit), 0);
    REQUIRE(chmod(path.c_str(), 0644) == 0);
    CHECK_ERRNO_AS(kBob, utimensat(AT_FDCWD, path.c_str(), nullptr, 0), EACCES);
}

TEST_CASE("which times an operation sets") {
    enum { kM = 1, kC = 2, kDir = 4 };  // mtime and ctime of the file, both of its directory
    const struct {
        const char* name;
        int sets;
        std::function<int(const std::string&)> run;
    } table[] = {
        {"write", kM | kC,
         [](const std::string& path) {
             const unique_fd fd(open(path.c_str(), O_WRONLY | O_APPEND));
             return write(fd.get(), "x", 1) == 1 ? 0 : -1;
         }},
        {"mapped write", kM | kC,
         [](const std::string& path) {
             const unique_fd fd(open(path.c_str(), O_RDWR));
             char* map = static_cast<char*>(
                 mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
             if (map == MAP_FAILED) return -1;
             map[0] = 'm';
             return msync(map, 4096, MS_SYNC) | munmap(map, 4096);
         }},
        {"truncate", kM | kC, [](const std::string& path) { return truncate(path.c_str(), 2); }},
        {"chmod", kC, [](const std::string& path) { return chmod(path.c_str(), 0600); }},
        {"chown", kC, [](const std::string& path) { return chown(path.c_str(), 1, 1); }},
        {"link", kC | kDir,
         [](const std::string& path) { return link(path.c_str(), (path + ".2").c_str()); }},
        {"rename", kC | kDir,
         [](const std::string& path) {
             return rename(path.c_str(), (path + ".2").c_str()) |
                    rename((path + ".2").c_str(), path.c_str());
         }},
        {"setxattr", kC,
         [](const std::string& path) { return setxattr(path.c_str(), "user.a", "b", 1, 0); }},
        {"stat", 0,
         [](const std::string& path) {
             struct stat st;
             return stat(path.c_str(), &st);
         }},
        {"mkdir beside", kDir,
         [](const std::string& path) { return mkdir((path + ".d").c_str(), 0755); }},
    };
    for (const auto& row : table) {
        const Folder folder;
        REQUIRE(mkdir((folder / "d").c_str(), 0755) == 0);
        const std::string path = folder / "d/f";
        REQUIRE(write_file(path, "content"));
        const auto before = status_of(path), directory = status_of(folder / "d");
        usleep(12000);
        CHECK_MESSAGE(row.run(path) == 0, row.name, ": ", name_of_errno(errno));
        const auto after = status_of(path), directory_after = status_of(folder / "d");
        CHECK_MESSAGE(later(after.st_mtim, before.st_mtim) == bool(row.sets & kM), row.name);
        CHECK_MESSAGE(later(after.st_ctim, before.st_ctim) == bool(row.sets & kC), row.name);
        CHECK_MESSAGE(later(directory_after.st_mtim, directory.st_mtim) == bool(row.sets & kDir),
                      row.name);
    }
}

TEST_CASE("special files keep their type and number") {
    const Folder folder;
    const struct {
        mode_t type;
        dev_t device;
    } table[] = {{S_IFIFO, 0},
                 {S_IFSOCK, 0},
                 {S_IFCHR, makedev(1, 3)},
                 {S_IFBLK, makedev(259, 70000)},
                 {S_IFCHR, makedev(4095, 1048575)}};
    int number = 0;
    for (const auto& row : table) {
        const std::string path = folder / std::to_string(++number);
        CHECK_ERRNO(mknod(path.c_str(), row.type | 0640, row.device), 0);
        const auto st = status_of(path);
        CHECK((st.st_mode & S_IFMT) == row.type);
        CHECK(st.st_rdev == row.device);
    }
    CHECK_ERRNO_AS(kAlice, mknod((folder / "c").c_str(), S_IFCHR | 0666, makedev(1, 3)), EPERM);
    // And they work: /dev/null by another name.
    CHECK(read_file(folder / "3").empty());
}

TEST_CASE("statx tells when a file was made, and nothing changes that") {
    const Folder folder;
    const auto birth = [&] {
        struct statx st;
        REQUIRE(statx(AT_FDCWD, (folder / "f").c_str(), 0, STATX_BTIME, &st) == 0);
        CHECK((st.stx_mask & STATX_BTIME) != 0);
        return timespec{st.stx_btime.tv_sec, long(st.stx_btime.tv_nsec)};
    };
    REQUIRE(write_file(folder / "f", "x"));
    const timespec made = birth();
    CHECK(made.tv_sec >= time(nullptr) - 10);
    REQUIRE(chmod((folder / "f").c_str(), 0600) == 0);
    REQUIRE(write_file(folder / "f", "more"));
    CHECK(!later(birth(), made));
}

TEST_CASE("link counts") {
    const Folder folder;
    CHECK(status_of(folder.path()).st_nlink == 2);
    for (int i = 0; i < 20; ++i) REQUIRE(mkdir((folder / std::to_string(i)).c_str(), 0755) == 0);
    CHECK(status_of(folder.path()).st_nlink == 22);
    REQUIRE(rmdir((folder / "0").c_str()) == 0);
    CHECK(status_of(folder.path()).st_nlink == 21);
    REQUIRE(write_file(folder / "f", "x"));
    for (int i = 0; i < 300; ++i)
        REQUIRE(link((folder / "f").c_str(), (folder / ("l" + std::to_string(i))).c_str()) == 0);
    CHECK(status_of(folder / "l299").st_nlink == 301);
    CHECK(status_of(folder.path()).st_nlink == 21);
    CHECK(status_of(folder / "f").st_ino == status_of(folder / "l7").st_ino);
}
