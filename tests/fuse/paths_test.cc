// SPDX-License-Identifier: MIT
// What every call that takes a path answers to a path that is wrong, and to one the caller has no
// right to: one table of calls against one table of paths.
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <vector>

#include "tests/fuse/posix.h"

using namespace exo::test;

namespace {

using Path = const char*;

enum Kind : unsigned {
    kFollows = 1,  // follows a symlink at the end
    kCreates = 2,  // wants the last name not to exist
    kRemoves = 4,
};

struct Call {
    const char* name;
    unsigned kind;
    int (*run)(Path path);
};

int close_if_open(int fd) {
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

const std::vector<Call> kCalls = {
    {"stat", kFollows,
     [](Path path) {
         struct stat st;
         return stat(path, &st);
     }},
    {"lstat", 0,
     [](Path path) {
         struct stat st;
         return lstat(path, &st);
     }},
    {"access", kFollows, [](Path path) { return access(path, F_OK); }},
    {"open", kFollows, [](Path path) { return close_if_open(open(path, O_RDONLY)); }},
    {"open to write", kFollows, [](Path path) { return close_if_open(open(path, O_WRONLY)); }},
    {"truncate", kFollows, [](Path path) { return truncate(path, 0); }},
    {"chmod", kFollows, [](Path path) { return chmod(path, 0644); }},
    {"chown", kFollows, [](Path path) { return chown(path, getuid(), getgid()); }},
    {"lchown", 0, [](Path path) { return lchown(path, getuid(), getgid()); }},
    {"utimensat", kFollows, [](Path path) { return utimensat(AT_FDCWD, path, nullptr, 0); }},
    {"getxattr", kFollows,
     [](Path path) {
         const ssize_t n = getxattr(path, "user.none", nullptr, 0);
         return n < 0 && errno != ENODATA ? -1 : 0;
     }},
    {"setxattr", kFollows, [](Path path) { return setxattr(path, "user.x", "1", 1, 0); }},
    {"statvfs", kFollows,
     [](Path path) {
         struct statvfs st;
         return statvfs(path, &st);
     }},
    {"readlink", 0,
     [](Path path) {
         char target[8];
         const ssize_t n = readlink(path, target, sizeof target);
         return n < 0 && errno != EINVAL ? -1 : 0;
     }},
    {"create", kCreates,
     [](Path path) { return close_if_open(open(path, O_CREAT | O_EXCL, 0644)); }},
    {"mkdir", kCreates, [](Path path) { return mkdir(path, 0755); }},
    {"mkfifo", kCreates, [](Path path) { return mkfifo(path, 0644); }},
    {"symlink", kCreates, [](Path path) { return symlink("target", path); }},
    {"unlink", kRemoves, [](Path path) { return unlink(path); }},
    {"rename from", kRemoves,
     [](Path path) {
         return rename(path, (std::string(path) + ".moved").substr(0, 4000).c_str());
     }},
};

void check(const Call& call, const std::string& path, int expected) {
    const int code = errno_of([&] { return call.run(path.c_str()); });
    CHECK_MESSAGE(code == expected, call.name, " ",
                  path.substr(path.size() < 60 ? 0 : path.size() - 60), ": ", name_of_errno(code),
                  ", expected ", name_of_errno(expected));
}

void check_as(uid_t uid, const Call& call, const std::string& path, int expected) {
    const int code = errno_as(uid, [&] { return call.run(path.c_str()); });
    CHECK_MESSAGE(code == expected, call.name, " as ", uid, ": ", name_of_errno(code),
                  ", expected ", name_of_errno(expected));
}

}  // namespace

TEST_CASE("a part of the path that is no directory is ENOTDIR") {
    const Folder folder;
    REQUIRE(write_file(folder / "file", "x"));
    for (const Call& call : kCalls) check(call, folder / "file/below", ENOTDIR);
}

TEST_CASE(
    "a part of the path that is not there is ENOENT, for all but creation also the last one") {
    const Folder folder;
    for (const Call& call : kCalls) {
        check(call, folder / "absent/below", ENOENT);
        if (!(call.kind & kCreates)) check(call, folder / "absent", ENOENT);
    }
}

TEST_CASE("a name of 256 bytes and a path of 4096 are ENAMETOOLONG, one less works") {
    const Folder folder;
    const std::string name(255, 'n');
    for (const Call& call : kCalls) {
        check(call, folder / (name + "n"), ENAMETOOLONG);
        check(call, folder / (name + "n/below"), ENAMETOOLONG);
    }
    // Names in paths that end where the longest path ends.
    std::string deep = folder.path();
    while (deep.size() + 252 < 4095) {
        deep += "/" + std::string(250, 'd');
        REQUIRE(mkdir(deep.c_str(), 0777) == 0);
    }
    const std::string longest = deep + "/" + std::string(4095 - deep.size() - 1, 'f');
    for (const Call& call : kCalls) {
        if (call.kind & kRemoves) continue;
        if (!(call.kind & kCreates)) REQUIRE(write_file(longest, ""));
        check(call, longest, 0);
        check(call, longest + "f", ENAMETOOLONG);
        if (remove(longest.c_str()) != 0) CHECK(errno == ENOENT);
    }
}

TEST_CASE("symlinks that lead in a circle are ELOOP; at the end only for calls that follow them") {
    const Folder folder;
    REQUIRE(symlink("b", (folder / "a").c_str()) == 0);
    REQUIRE(symlink("a", (folder / "b").c_str()) == 0);
    for (const Call& call : kCalls) {
        check(call, folder / "a/below", ELOOP);
        if (call.kind & kFollows) check(call, folder / "a", ELOOP);
        if (call.kind & kCreates) check(call, folder / "a", EEXIST);
    }
}

TEST_CASE("forty symlinks in a row are followed, forty-one are ELOOP") {
    const Folder folder;
    REQUIRE(write_file(folder / "link-0", "end"));
    for (int i = 1; i <= 41; ++i)
        REQUIRE(symlink(("link-" + std::to_string(i - 1)).c_str(),
                        (folder / ("link-" + std::to_string(i))).c_str()) == 0);
    CHECK(read_file(folder / "link-40") == "end");
    CHECK_ERRNO(open((folder / "link-41").c_str(), O_RDONLY), ELOOP);
}

TEST_CASE("without the right to search a directory everything in it is EACCES") {
    const Folder folder;
    REQUIRE(mkdir((folder / "closed").c_str(), 0700) == 0);
    REQUIRE(mkdir((folder / "closed/sub").c_str(), 0777) == 0);
    REQUIRE(write_file(folder / "closed/file", "x"));
    REQUIRE(chmod((folder / "closed/file").c_str(), 0666) == 0);
    for (const Call& call : kCalls) {
        check_as(kAlice, call, folder / "closed/file", EACCES);
        check_as(kAlice, call, folder / "closed/absent", EACCES);
        check_as(kAlice, call, folder / "closed/sub/absent", EACCES);
    }
    // With it, and without the right to read, names that are known work.
    REQUIRE(chmod((folder / "closed").c_str(), 0711) == 0);
    CHECK_ERRNO_AS(kAlice, access((folder / "closed/file").c_str(), W_OK), 0);
    CHECK_ERRNO_AS(kAlice, close_if_open(open((folder / "closed").c_str(), O_RDONLY)), EACCES);
}

TEST_CASE("without the right to write a directory nothing is made or removed in it") {
    const Folder folder;
    REQUIRE(mkdir((folder / "d").c_str(), 0755) == 0);
    REQUIRE(write_file(folder / "d/file", "x"));
    for (const Call& call : kCalls) {
        if (call.kind & kCreates) check_as(kAlice, call, folder / "d/new", EACCES);
        if (call.kind & kCreates) check_as(kAlice, call, folder / "d/file", EEXIST);
        if (call.kind & kRemoves) check_as(kAlice, call, folder / "d/file", EACCES);
    }
    CHECK(read_file(folder / "d/file") == "x");
    // One that she may write, or the kernel would protect it from hard links of others.
    REQUIRE(chmod((folder / "d/file").c_str(), 0666) == 0);
    CHECK_ERRNO_AS(kAlice, link((folder / "d/file").c_str(), (folder / "d/new").c_str()), EACCES);
    REQUIRE(mkdir((folder / "d/sub").c_str(), 0777) == 0);
    CHECK_ERRNO_AS(kAlice, rmdir((folder / "d/sub").c_str()), EACCES);
}

TEST_CASE("what exists cannot be created again") {
    const Folder folder;
    REQUIRE(write_file(folder / "file", "x"));
    REQUIRE(mkdir((folder / "dir").c_str(), 0755) == 0);
    REQUIRE(symlink("nowhere", (folder / "dangling").c_str()) == 0);
    REQUIRE(mkfifo((folder / "fifo").c_str(), 0644) == 0);
    for (const Call& call : kCalls) {
        if (!(call.kind & kCreates)) continue;
        for (const char* name : {"file", "dir", "dangling", "fifo", "."})
            check(call, folder / name, EEXIST);
    }
}

TEST_CASE("the special names and a slash at the end") {
    const Folder folder;
    REQUIRE(mkdir((folder / "dir").c_str(), 0755) == 0);
    REQUIRE(mkdir((folder / "dir/sub").c_str(), 0755) == 0);
    REQUIRE(write_file(folder / "file", "x"));
    CHECK_ERRNO(rmdir((folder / "dir/.").c_str()), EINVAL);
    CHECK_ERRNO(rmdir((folder / "dir/sub/..").c_str()), ENOTEMPTY);
    CHECK_ERRNO(unlink((folder / "dir").c_str()), EISDIR);
    CHECK_ERRNO(rmdir((folder / "file").c_str()), ENOTDIR);
    CHECK_ERRNO(unlink((folder / "file/").c_str()), ENOTDIR);
    CHECK_ERRNO(access((folder / "dir/").c_str(), F_OK), 0);
    CHECK_ERRNO(mkdir((folder / "new/").c_str(), 0755), 0);
    CHECK_ERRNO(open((folder / "new2/").c_str(), O_CREAT | O_WRONLY, 0644), EISDIR);
    CHECK_ERRNO(rename((folder / "dir/.").c_str(), (folder / "x").c_str()), EBUSY);
    CHECK_ERRNO(open((folder / "dir").c_str(), O_WRONLY), EISDIR);
    CHECK_ERRNO(open((folder / "file").c_str(), O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(truncate((folder / "dir").c_str(), 0), EISDIR);
    CHECK_ERRNO(link((folder / "dir").c_str(), (folder / "hard").c_str()), EPERM);
    CHECK_ERRNO(rmdir((folder / "dir").c_str()), ENOTEMPTY);
    CHECK_ERRNO(symlink("", (folder / "empty").c_str()), ENOENT);
    CHECK_ERRNO(symlink(std::string(4096, 't').c_str(), (folder / "long").c_str()), ENAMETOOLONG);
    CHECK_ERRNO(symlink(std::string(4095, 't').c_str(), (folder / "long").c_str()), 0);
    CHECK(status_of(folder / "long").st_size == 4095);
}

TEST_CASE("links and renames stay on their file system") {
    const Folder folder;
    REQUIRE(write_file(folder / "file", "x"));
    const std::string outside = shared_mount().image() + ".outside";
    CHECK_ERRNO(link((folder / "file").c_str(), outside.c_str()), EXDEV);
    CHECK_ERRNO(rename((folder / "file").c_str(), outside.c_str()), EXDEV);
    CHECK(read_file(folder / "file") == "x");
}
