// SPDX-License-Identifier: MIT
// rename(2) and renameat2(2): what may replace what, link counts, sticky directories, and the
// flags.
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "tests/fuse/posix.h"

using namespace exo::test;

namespace {

int rename_flags(const std::string& from, const std::string& to, unsigned flags) {
    return renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
}

// Makes what `kind` says: f file, d empty directory, D directory with something, l symlink, -
// nothing.
void make(const std::string& path, char kind) {
    switch (kind) {
        case 'f':
            REQUIRE(write_file(path, path));
            break;
        case 'l':
            REQUIRE(symlink("nowhere", path.c_str()) == 0);
            break;
        case 'd':
        case 'D':
            REQUIRE(mkdir(path.c_str(), 0755) == 0);
            if (kind == 'D') REQUIRE(write_file(path + "/inside", "x"));
            break;
        default:
            break;
    }
}

}  // namespace

TEST_CASE("what may replace what") {
    const struct {
        char from, to;
        int expected;
    } table[] = {
        {'f', '-', 0},         {'f', 'f', 0},         {'f', 'l', 0},       {'f', 'd', EISDIR},
        {'f', 'D', EISDIR},    {'l', '-', 0},         {'l', 'f', 0},       {'l', 'l', 0},
        {'l', 'd', EISDIR},    {'d', '-', 0},         {'d', 'f', ENOTDIR}, {'d', 'l', ENOTDIR},
        {'d', 'd', 0},         {'d', 'D', ENOTEMPTY}, {'D', '-', 0},       {'D', 'd', 0},
        {'D', 'D', ENOTEMPTY}, {'D', 'f', ENOTDIR},   {'-', 'f', ENOENT},  {'-', '-', ENOENT},
    };
    for (const auto& row : table) {
        for (const bool other_directory : {false, true}) {
            const Folder folder, elsewhere;
            const std::string from = folder / "from",
                              to = other_directory ? elsewhere / "to" : folder / "to";
            make(from, row.from);
            make(to, row.to);
            const int code = errno_of([&] { return rename(from.c_str(), to.c_str()); });
            CHECK_MESSAGE(code == row.expected, row.from, " over ", row.to, ": ",
                          name_of_errno(code), ", expected ", name_of_errno(row.expected));
            struct stat st;
            CHECK((lstat(from.c_str(), &st) == 0) == (row.from != '-' && row.expected != 0));
            if (code == 0 && row.from == 'D') CHECK(access((to + "/inside").c_str(), F_OK) == 0);
        }
    }
}

TEST_CASE("RENAME_NOREPLACE replaces nothing; RENAME_EXCHANGE needs both and swaps any kinds") {
    for (const char from : {'f', 'd', 'D', 'l'}) {
        for (const char to : {'f', 'd', 'D', 'l'}) {
            const Folder folder, elsewhere;
            make(folder / "from", from);
            make(elsewhere / "to", to);
            const auto from_ino = status_of(folder / "from").st_ino,
                       to_ino = status_of(elsewhere / "to").st_ino;
            CHECK_ERRNO(rename_flags(folder / "from", elsewhere / "to", RENAME_NOREPLACE), EEXIST);
            CHECK(status_of(folder / "from").st_ino == from_ino);
            CHECK_ERRNO(rename_flags(folder / "from", elsewhere / "to", RENAME_EXCHANGE), 0);
            CHECK(status_of(folder / "from").st_ino == to_ino);
            CHECK(status_of(elsewhere / "to").st_ino == from_ino);
            // A directory counts its subdirectories' "..".
            const auto is_dir = [](char kind) { return kind == 'd' || kind == 'D'; };
            CHECK(status_of(folder.path()).st_nlink == 2u + is_dir(to));
            CHECK(status_of(elsewhere.path()).st_nlink == 2u + is_dir(from));
            if (is_dir(from))
                CHECK(status_of(elsewhere / "to/..").st_ino == status_of(elsewhere.path()).st_ino);
        }
    }
    const Folder folder;
    make(folder / "a", 'f');
    CHECK_ERRNO(rename_flags(folder / "a", folder / "b", RENAME_EXCHANGE), ENOENT);
    CHECK_ERRNO(rename_flags(folder / "b", folder / "a", RENAME_EXCHANGE), ENOENT);
    CHECK_ERRNO(rename_flags(folder / "a", folder / "b", RENAME_NOREPLACE), 0);
    CHECK_ERRNO(rename_flags(folder / "b", folder / "a", RENAME_EXCHANGE | RENAME_NOREPLACE),
                EINVAL);
    CHECK_ERRNO(rename_flags(folder / "b", folder / "a", RENAME_WHITEOUT), EINVAL);
}

TEST_CASE("a directory does not move below itself, also not by exchange") {
    const Folder folder;
    make(folder / "a", 'd');
    make(folder / "a/b", 'd');
    make(folder / "a/b/c", 'd');
    CHECK_ERRNO(rename((folder / "a").c_str(), (folder / "a/b/c/d").c_str()), EINVAL);
    CHECK_ERRNO(rename((folder / "a").c_str(), (folder / "a/x").c_str()), EINVAL);
    CHECK_ERRNO(rename((folder / "a/b/c").c_str(), (folder / "a").c_str()), ENOTEMPTY);
    CHECK_ERRNO(rename_flags(folder / "a", folder / "a/b/c", RENAME_EXCHANGE), EINVAL);
    CHECK_ERRNO(rename_flags(folder / "a/b/c", folder / "a", RENAME_EXCHANGE), EINVAL);
    CHECK_ERRNO(rename((folder / "a/b").c_str(), (folder / "b").c_str()), 0);
    CHECK(status_of(folder / "a").st_nlink == 2);
    CHECK(status_of(folder.path()).st_nlink == 4);
}

TEST_CASE("two links to one file: rename does nothing; a replaced file lives while it is open") {
    const Folder folder;
    REQUIRE(write_file(folder / "a", "one"));
    REQUIRE(link((folder / "a").c_str(), (folder / "b").c_str()) == 0);
    CHECK_ERRNO(rename((folder / "a").c_str(), (folder / "b").c_str()), 0);
    CHECK(status_of(folder / "a").st_nlink == 2);
    REQUIRE(write_file(folder / "c", "two"));
    const int fd = open((folder / "a").c_str(), O_RDWR);
    REQUIRE(fd >= 0);
    REQUIRE(unlink((folder / "b").c_str()) == 0);
    CHECK_ERRNO(rename((folder / "c").c_str(), (folder / "a").c_str()), 0);
    struct stat st;
    REQUIRE(fstat(fd, &st) == 0);
    CHECK(st.st_nlink == 0);
    char text[8] = {};
    CHECK(pread(fd, text, 8, 0) == 3);
    CHECK(std::string(text) == "one");
    CHECK(pwrite(fd, "more", 4, 3) == 4);
    close(fd);
    CHECK(read_file(folder / "a") == "two");
}

TEST_CASE("in a sticky directory only the owners remove and rename") {
    const Folder folder;
    REQUIRE(mkdir((folder / "tmp").c_str(), 0755) == 0);
    REQUIRE(chmod((folder / "tmp").c_str(), 01777) == 0);
    for (const char* name : {"file", "victim"})
        CHECK_ERRNO_AS(
            kAlice, mknod((folder / ("tmp/" + std::string(name))).c_str(), S_IFREG | 0666, 0), 0);
    CHECK_ERRNO_AS(kAlice, mkdir((folder / "tmp/dir").c_str(), 0777), 0);
    CHECK_ERRNO_AS(kBob, mknod((folder / "tmp/bobs").c_str(), S_IFREG | 0666, 0), 0);
    const std::string file = folder / "tmp/file", bobs = folder / "tmp/bobs";
    CHECK_ERRNO_AS(kBob, unlink(file.c_str()), EPERM);
    CHECK_ERRNO_AS(kBob, rmdir((folder / "tmp/dir").c_str()), EPERM);
    CHECK_ERRNO_AS(kBob, rename(file.c_str(), (folder / "tmp/moved").c_str()), EPERM);
    CHECK_ERRNO_AS(kBob, rename(bobs.c_str(), file.c_str()), EPERM);
    CHECK_ERRNO_AS(kBob, rename_flags(bobs, file, RENAME_EXCHANGE), EPERM);
    CHECK_ERRNO_AS(kAlice, rename(file.c_str(), (folder / "tmp/moved").c_str()), 0);
    CHECK_ERRNO_AS(kAlice, unlink((folder / "tmp/victim").c_str()), 0);
    CHECK_ERRNO_AS(kAlice, rmdir((folder / "tmp/dir").c_str()), 0);
    // The directory's owner may as well.
    REQUIRE(chown((folder / "tmp").c_str(), kBob, kBob) == 0);
    CHECK_ERRNO_AS(kBob, unlink((folder / "tmp/moved").c_str()), 0);
}

TEST_CASE("moving a directory needs the right to change its \"..\"") {
    const Folder folder;
    REQUIRE(mkdir((folder / "from").c_str(), 0777) == 0);
    REQUIRE(chmod((folder / "from").c_str(), 0777) == 0);
    REQUIRE(mkdir((folder / "from/dir").c_str(), 0755) == 0);
    // Within a directory nothing in the moved one changes.
    CHECK_ERRNO_AS(kAlice, rename((folder / "from/dir").c_str(), (folder / "from/renamed").c_str()),
                   0);
    CHECK_ERRNO_AS(kAlice, rename((folder / "from/renamed").c_str(), (folder / "moved").c_str()),
                   EACCES);
}

TEST_CASE("a rename changes the times of both directories and the ctime of the file") {
    const Folder from, to;
    make(from / "file", 'f');
    const auto before_from = status_of(from.path()), before_to = status_of(to.path()),
               before = status_of(from / "file");
    usleep(20000);
    REQUIRE(rename((from / "file").c_str(), (to / "file").c_str()) == 0);
    const auto later = [](const timespec& a, const timespec& b) {
        return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
    };
    CHECK(later(status_of(from.path()).st_mtim, before_from.st_mtim));
    CHECK(later(status_of(from.path()).st_ctim, before_from.st_ctim));
    CHECK(later(status_of(to.path()).st_mtim, before_to.st_mtim));
    CHECK(later(status_of(to / "file").st_ctim, before.st_ctim));
    CHECK(!later(status_of(to / "file").st_mtim, before.st_mtim));
}
