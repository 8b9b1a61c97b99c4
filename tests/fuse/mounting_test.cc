// SPDX-License-Identifier: MIT
// Mount options, remounting, trim, and what is said when a mount cannot be.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <fstream>

#include "fs/base/unique_fd.h"
#include "tests/fuse/posix.h"

using namespace exo;
using namespace exo::test;

namespace {

uint64_t blocks_of_image(const MountedImage& fs) {
    return uint64_t(status_of(fs.image()).st_blocks) * 512;
}

int trim(const std::string& path, fstrim_range& range) {
    const unique_fd fd(open(path.c_str(), O_RDONLY));
    return ioctl(fd.get(), FITRIM, &range);
}

}  // namespace

TEST_CASE("remounting read-only and back") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("f"), "x"));
    CHECK(fs.run_mount({fs.image(), fs.directory(), "-o", "remount,ro"}) == 0);
    CHECK(fs.output() == "");
    CHECK(!write_file(fs.path("f"), "y"));
    CHECK(errno == EROFS);
    CHECK(fs.run_mount({fs.image(), fs.directory(), "-o", "remount,rw"}) == 0);
    CHECK(write_file(fs.path("f"), "z"));
    CHECK(read_file(fs.path("f")) == "z");
    REQUIRE(fs.umount() == 0);
    // What was opened read-only stays so.
    REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-o", "ro"}) == 0);
    CHECK(fs.run_mount({fs.image(), fs.directory(), "-o", "remount,rw"}) == 32);
    CHECK(fs.output().find("umount it and mount it again") != std::string::npos);
    CHECK(!write_file(fs.path("f"), "y"));
    CHECK(errno == EROFS);
    REQUIRE(fs.umount() == 0);
    CHECK(fs.run_mount({fs.image(), fs.directory(), "-o", "remount,ro"}) == 32);
    CHECK(fs.output().find("is not an exo mount") != std::string::npos);
}

TEST_CASE("access times: relative, none, strict") {
    MountedImage fs;
    const timespec old[2] = {{1000, 0}, {2000, 0}};
    const auto read_sets_atime = [&](const char* options) {
        REQUIRE(fs.umount() == 0);
        REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-o", options}) == 0);
        REQUIRE(write_file(fs.path("f"), "x"));
        REQUIRE(utimensat(AT_FDCWD, fs.path("f").c_str(), old, 0) == 0);
        REQUIRE(fs.umount() == 0);
        REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-o", options}) == 0);
        CHECK(read_file(fs.path("f")) == "x");
        return status_of(fs.path("f")).st_atim.tv_sec != 1000;
    };
    CHECK(read_sets_atime("relatime"));
    CHECK(!read_sets_atime("noatime"));
    CHECK(read_sets_atime("strictatime"));
}

TEST_CASE("trim gives the image's blocks back, and says how many bytes") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("f"), pattern(32 << 20, 1)));
    const uint64_t free_with_it = fs.free_bytes();
    REQUIRE(unlink(fs.path("f").c_str()) == 0);
    REQUIRE(fs.gets_free(free_with_it + (30u << 20)));
    {
        const unique_fd root(open(fs.directory().c_str(), O_RDONLY));
        REQUIRE(fsync(root.get()) == 0);  // what was freed counts once that is durable
    }
    const uint64_t before = blocks_of_image(fs);
    fstrim_range range{0, UINT64_MAX, 0};
    CHECK_ERRNO(trim(fs.directory(), range), 0);
    CHECK(range.len > (200u << 20));
    CHECK(blocks_of_image(fs) + (30u << 20) < before);
    CHECK_ERRNO_AS(kAlice, trim(fs.directory(), range), EPERM);
    range = {1u << 30, UINT64_MAX, 0};
    CHECK_ERRNO(trim(fs.directory(), range), EINVAL);
    REQUIRE(fs.umount() == 0);
    CHECK(fs.fsck() == "");
    REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-o", "ro"}) == 0);
    CHECK_ERRNO(trim(fs.directory(), range), EROFS);
}

TEST_CASE("with discard, freed blocks go back by themselves") {
    MountedImage fs;
    REQUIRE(fs.umount() == 0);
    REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-o", "discard"}) == 0);
    REQUIRE(write_file(fs.path("f"), pattern(32 << 20, 1)));
    REQUIRE(fs.umount() == 0);
    const uint64_t before = blocks_of_image(fs);
    REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-o", "discard"}) == 0);
    const uint64_t free_with_it = fs.free_bytes();
    REQUIRE(unlink(fs.path("f").c_str()) == 0);
    REQUIRE(fs.gets_free(free_with_it + (30u << 20)));
    REQUIRE(fs.umount() == 0);
    CHECK(blocks_of_image(fs) + (30u << 20) < before);
}

TEST_CASE("a mount that cannot be says why in one line") {
    MountedImage fs;
    const auto refused = [&](const std::vector<std::string>& arguments, const char* why, int code) {
        CHECK(fs.run_mount(arguments) == code);
        CHECK_MESSAGE(fs.output().find(why) != std::string::npos, fs.output());
        CHECK(std::ranges::count(fs.output(), '\n') == 1);
    };
    refused({fs.image(), fs.directory()}, "already mounted", 32);
    refused({fs.image() + "x", fs.directory()}, "No such file", 32);
    refused({fs.image(), fs.directory(), "-o", "nonsense"}, "unknown mount option 'nonsense'", 1);
    REQUIRE(fs.umount() == 0);
    refused({fs.image(), fs.directory() + "x"}, "No such file", 32);
    refused({fs.image(), fs.image()}, "is not a directory", 32);
    refused({fs.directory(), fs.directory()}, "neither a block device nor an image file", 32);
    const std::string empty = fs.image() + ".empty";
    std::ofstream(empty) << std::string(1 << 20, 'x');
    refused({empty, fs.directory()}, empty.c_str(), 32);
    CHECK(fs.mount() == 0);
    CHECK(fs.output() == "");
}
