// SPDX-License-Identifier: MIT
// Who may do what on a mount: permission bits with a second user, ownership, times, mount flags.
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "fs/base/unique_fd.h"
#include "tests/fuse/mounted_image.h"

using namespace exo;
using namespace exo::test;

namespace {

constexpr uid_t kUser = 65534, kOther = 12345;

// In a child as the user: 0, or the errno of the call.
template <typename Call>
int errno_as(uid_t uid, Call call) {
    return as_user(uid, uid, [&] { return call() == 0 ? 0 : errno; });
}

}  // namespace

TEST_CASE("every user reaches a mount by root, and the permission bits decide") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("secret"), "x"));
    REQUIRE(chmod(fs.path("secret").c_str(), 0600) == 0);
    REQUIRE(write_file(fs.path("public"), "x"));
    const auto reads = [&](const std::string& path) {
        return [path] {
            const unique_fd fd(open(path.c_str(), O_RDONLY));
            return fd ? 0 : -1;
        };
    };
    CHECK(errno_as(kUser, reads(fs.path("public"))) == 0);
    CHECK(errno_as(kUser, reads(fs.path("secret"))) == EACCES);
    CHECK(errno_as(kUser, [&] { return truncate(fs.path("public").c_str(), 0); }) == EACCES);
    CHECK(errno_as(kUser, [&] { return unlink(fs.path("public").c_str()); }) == EACCES);
    CHECK(errno_as(kUser, [&] { return chmod(fs.path("public").c_str(), 0777); }) == EPERM);
    REQUIRE(chown(fs.path("secret").c_str(), kUser, kUser) == 0);
    CHECK(errno_as(kUser, reads(fs.path("secret"))) == 0);
    CHECK(errno_as(kOther, reads(fs.path("secret"))) == EACCES);
}

TEST_CASE("files belong to who makes them; umask and set-group-id directories count") {
    MountedImage fs;
    REQUIRE(mkdir(fs.path("d").c_str(), 0755) == 0);
    REQUIRE(chown(fs.path("d").c_str(), 0, 777) == 0);
    REQUIRE(chmod(fs.path("d").c_str(), 02777) == 0);
    CHECK(errno_as(kUser, [&] {
              umask(027);
              const unique_fd fd(open(fs.path("d/f").c_str(), O_CREAT | O_WRONLY, 0666));
              return fd ? mkdir(fs.path("d/sub").c_str(), 0777) : -1;
          }) == 0);
    struct stat st;
    REQUIRE(stat(fs.path("d/f").c_str(), &st) == 0);
    CHECK(st.st_uid == kUser);
    CHECK(st.st_gid == 777);
    CHECK((st.st_mode & 07777) == 0640);
    REQUIRE(stat(fs.path("d/sub").c_str(), &st) == 0);
    CHECK(st.st_gid == 777);
    CHECK((st.st_mode & 07777) == 02750);
}

TEST_CASE("writing by another user drops the set-user-id bit") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("f"), "x"));
    REQUIRE(chmod(fs.path("f").c_str(), 04777) == 0);
    CHECK(errno_as(kUser, [&] {
              const unique_fd fd(open(fs.path("f").c_str(), O_WRONLY));
              return write(fd.get(), "y", 1) == 1 ? 0 : -1;
          }) == 0);
    struct stat st;
    REQUIRE(stat(fs.path("f").c_str(), &st) == 0);
    CHECK((st.st_mode & 07777) == 0777);
}

TEST_CASE("times are kept to the nanosecond, through a remount") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("f"), "x"));
    const timespec times[2] = {{1234567890, 123456789}, {987654321, 987654321}};
    REQUIRE(utimensat(AT_FDCWD, fs.path("f").c_str(), times, 0) == 0);
    REQUIRE(fs.umount() == 0);
    REQUIRE(fs.mount() == 0);
    struct stat st;
    REQUIRE(stat(fs.path("f").c_str(), &st) == 0);
    CHECK(st.st_atim.tv_sec == times[0].tv_sec);
    CHECK(st.st_atim.tv_nsec == times[0].tv_nsec);
    CHECK(st.st_mtim.tv_sec == times[1].tv_sec);
    CHECK(st.st_mtim.tv_nsec == times[1].tv_nsec);
}

TEST_CASE("a read-only mount refuses every change") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("f"), "x"));
    REQUIRE(fs.umount() == 0);
    REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-o", "ro,nosuid,noatime"}) == 0);
    CHECK(read_file(fs.path("f")) == "x");
    CHECK(!write_file(fs.path("f"), "y"));
    CHECK(errno == EROFS);
    CHECK(mkdir(fs.path("d").c_str(), 0755) == -1);
    CHECK(errno == EROFS);
    CHECK(unlink(fs.path("f").c_str()) == -1);
    CHECK(errno == EROFS);
}
