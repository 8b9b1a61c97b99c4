// SPDX-License-Identifier: MIT
// Names on a mount: creation, removal, renaming, links, listings.
#include <dirent.h>
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <set>
#include <string>

#include "fs/base/unique_fd.h"
#include "tests/fuse/mounted_image.h"

using namespace exo;
using namespace exo::test;

namespace {

std::set<std::string> list(const std::string& directory) {
    std::set<std::string> names;
    DIR* dir = opendir(directory.c_str());
    REQUIRE(dir);
    while (const dirent* entry = readdir(dir)) {
        // An entry that is there all the time is seen once.
        CHECK_MESSAGE(names.insert(entry->d_name).second, entry->d_name, " twice");
    }
    closedir(dir);
    names.erase(".");
    names.erase("..");
    return names;
}

struct stat status(const std::string& path) {
    struct stat st{};
    CHECK_MESSAGE(lstat(path.c_str(), &st) == 0, path, ": ", errno);
    return st;
}

}  // namespace

TEST_CASE("a file is found by the name it was created with, and by no other") {
    MountedImage fs;
    CHECK(write_file(fs.path("a"), "hello"));
    CHECK(read_file(fs.path("a")) == "hello");
    CHECK(access(fs.path("b").c_str(), F_OK) != 0);  // remembered as absent by the kernel
    CHECK(write_file(fs.path("b"), "there now"));
    CHECK(read_file(fs.path("b")) == "there now");
    CHECK(open(fs.path("a").c_str(), O_CREAT | O_EXCL | O_WRONLY, 0600) == -1);
    CHECK(errno == EEXIST);
    CHECK(list(fs.directory()) == std::set<std::string>{"a", "b"});
}

TEST_CASE("the longest name works, one byte more is ENAMETOOLONG everywhere") {
    MountedImage fs;
    const std::string fits = fs.path(std::string(255, 'n')), over = fs.path(std::string(256, 'n'));
    CHECK(write_file(fits, "x"));
    CHECK(read_file(fits) == "x");
    const auto too_long = [](int result) { return result == -1 && errno == ENAMETOOLONG; };
    struct stat st;
    CHECK(too_long(stat(over.c_str(), &st)));
    CHECK(too_long(open(over.c_str(), O_CREAT | O_WRONLY, 0600)));
    CHECK(too_long(mkdir(over.c_str(), 0700)));
    CHECK(too_long(mknod(over.c_str(), S_IFIFO | 0600, 0)));
    CHECK(too_long(symlink("x", over.c_str())));
    CHECK(too_long(unlink(over.c_str())));
    CHECK(too_long(rmdir(over.c_str())));
    CHECK(too_long(link(fits.c_str(), over.c_str())));
    CHECK(too_long(rename(fits.c_str(), over.c_str())));
    CHECK(too_long(rename(over.c_str(), fits.c_str())));
    CHECK(read_file(fits) == "x");
}

TEST_CASE("directories nest, count their children, and go only when empty") {
    MountedImage fs;
    REQUIRE(mkdir(fs.path("d").c_str(), 0755) == 0);
    REQUIRE(mkdir(fs.path("d/e").c_str(), 0755) == 0);
    CHECK(status(fs.path("d")).st_nlink == 3);
    CHECK(rmdir(fs.path("d").c_str()) == -1);
    CHECK(errno == ENOTEMPTY);
    CHECK(unlink(fs.path("d").c_str()) == -1);
    CHECK(errno == EISDIR);
    CHECK(rmdir(fs.path("d/e").c_str()) == 0);
    CHECK(status(fs.path("d")).st_nlink == 2);
    CHECK(rmdir(fs.path("d").c_str()) == 0);
    CHECK(rmdir(fs.path("d").c_str()) == -1);
    CHECK(errno == ENOENT);
}

TEST_CASE("rename replaces, refuses and exchanges as asked") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("a"), "A"));
    REQUIRE(write_file(fs.path("b"), "B"));
    REQUIRE(mkdir(fs.path("d").c_str(), 0755) == 0);
    CHECK(renameat2(AT_FDCWD, fs.path("a").c_str(), AT_FDCWD, fs.path("b").c_str(),
                    RENAME_NOREPLACE) == -1);
    CHECK(errno == EEXIST);
    CHECK(renameat2(AT_FDCWD, fs.path("a").c_str(), AT_FDCWD, fs.path("b").c_str(),
                    RENAME_EXCHANGE) == 0);
    CHECK(read_file(fs.path("a")) == "B");
    CHECK(read_file(fs.path("b")) == "A");
    CHECK(rename(fs.path("a").c_str(), fs.path("d/c").c_str()) == 0);
    CHECK(rename(fs.path("b").c_str(), fs.path("d/c").c_str()) == 0);
    CHECK(read_file(fs.path("d/c")) == "A");
    CHECK(list(fs.directory()) == std::set<std::string>{"d"});
    CHECK(rename(fs.path("d").c_str(), fs.path("d/below").c_str()) == -1);
    CHECK(errno == EINVAL);
}

TEST_CASE("an unlinked file lives until it is closed") {
    MountedImage fs;
    const std::string content = pattern(300000, 1);
    REQUIRE(write_file(fs.path("f"), content));
    const unique_fd fd(open(fs.path("f").c_str(), O_RDWR));
    REQUIRE(fd);
    REQUIRE(unlink(fs.path("f").c_str()) == 0);
    CHECK(access(fs.path("f").c_str(), F_OK) != 0);
    std::string read_back(content.size(), 0);
    CHECK(pread(fd.get(), read_back.data(), read_back.size(), 0) == ssize_t(content.size()));
    CHECK(read_back == content);
    CHECK(pwrite(fd.get(), "more", 4, 400000) == 4);
    struct stat st;
    CHECK(fstat(fd.get(), &st) == 0);
    CHECK(st.st_nlink == 0);
    CHECK(st.st_size == 400004);
    // The name may be used anew meanwhile, by a different file.
    CHECK(write_file(fs.path("f"), "new"));
    CHECK(status(fs.path("f")).st_ino != st.st_ino);
}

TEST_CASE("links, symbolic links and special files are what they were made as") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("f"), "x"));
    CHECK(link(fs.path("f").c_str(), fs.path("g").c_str()) == 0);
    CHECK(status(fs.path("f")).st_nlink == 2);
    CHECK(status(fs.path("f")).st_ino == status(fs.path("g")).st_ino);
    CHECK(unlink(fs.path("f").c_str()) == 0);
    CHECK(read_file(fs.path("g")) == "x");
    CHECK(status(fs.path("g")).st_nlink == 1);

    CHECK(symlink("g", fs.path("s").c_str()) == 0);
    CHECK(read_file(fs.path("s")) == "x");
    const std::string target(4000, 't');
    CHECK(symlink(target.c_str(), fs.path("long").c_str()) == 0);
    std::string buffer(5000, 0);
    CHECK(readlink(fs.path("long").c_str(), buffer.data(), buffer.size()) == 4000);
    CHECK(buffer.substr(0, 4000) == target);

    CHECK(mknod(fs.path("fifo").c_str(), S_IFIFO | 0640, 0) == 0);
    CHECK(S_ISFIFO(status(fs.path("fifo")).st_mode));
    CHECK(mknod(fs.path("dev").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0);
    CHECK(status(fs.path("dev")).st_rdev == makedev(1, 3));
    CHECK(write_file(fs.path("dev"), "into the void"));
}

TEST_CASE("a large directory can be listed, also while entries go") {
    MountedImage fs;
    constexpr int files = 3000;
    REQUIRE(mkdir(fs.path("d").c_str(), 0755) == 0);
    std::set<std::string> names;
    for (int i = 0; i < files; ++i) {
        const std::string name = "entry-" + std::to_string(i);
        REQUIRE(close(open(fs.path("d/" + name).c_str(), O_CREAT | O_WRONLY, 0644)) == 0);
        names.insert(name);
    }
    CHECK(list(fs.path("d")) == names);

    // rm -r: remove while reading. Every entry must come by.
    DIR* dir = opendir(fs.path("d").c_str());
    REQUIRE(dir);
    int seen = 0;
    while (const dirent* entry = readdir(dir)) {
        const std::string name = entry->d_name;
        if (name == "." || name == "..") continue;
        CHECK(unlink(fs.path("d/" + name).c_str()) == 0);
        ++seen;
    }
    closedir(dir);
    CHECK(seen == files);
    CHECK(rmdir(fs.path("d").c_str()) == 0);
}

TEST_CASE("every inode number is followed by another generation") {
    MountedImage fs;
    std::set<std::pair<uint64_t, uint64_t>> seen;
    for (int i = 0; i < 20; ++i) {
        REQUIRE(write_file(fs.path("f"), "x"));
        const exo_file_info facts = info(fs.path("f"));
        CHECK(facts.ino == status(fs.path("f")).st_ino);
        CHECK(facts.generation != 0);
        CHECK(seen.emplace(facts.ino, facts.generation).second);
        REQUIRE(unlink(fs.path("f").c_str()) == 0);
    }
    CHECK(status(fs.directory()).st_ino == 1);
}
