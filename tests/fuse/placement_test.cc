// SPDX-License-Identifier: MIT
// EXO_FILE_PLACE: the blocks that a file gets from then on lie where the caller wished, as
// EXO_FILE_MAP and the image show; and every error that linux/exo.h names.
#include <fcntl.h>
#include <sys/ioctl.h>

#include "fs/base/unique_fd.h"
#include "tests/fuse/posix.h"

using namespace exo;
using namespace exo::test;

namespace {

int place(int fd, uint64_t where, uint32_t flags = 0, uint32_t reserved = 0) {
    exo_file_place argument{where, flags, reserved};
    return ioctl(fd, EXO_FILE_PLACE, &argument);
}

// Where the file's block at this offset is on the device; UINT64_MAX: nowhere.
uint64_t disk_place(int fd, uint64_t offset) {
    exo_file_map map{};
    map.start_offset = offset;
    REQUIRE(ioctl(fd, EXO_FILE_MAP, &map) == 0);
    if (map.count == 0 || map.extents[0].file_offset > offset) return UINT64_MAX;
    return map.extents[0].disk_offset + (offset - map.extents[0].file_offset);
}

void put(int fd, uint64_t offset, const std::string& text) {
    REQUIRE(pwrite(fd, text.data(), text.size(), off_t(offset)) == ssize_t(text.size()));
    REQUIRE(fsync(fd) == 0);
}

unique_fd open_new(const std::string& path) {
    return unique_fd(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
}

}  // namespace

TEST_CASE("a file's blocks go where it was placed") {
    Folder folder;
    const uint64_t goal = 200u << 20;
    const unique_fd file = open_new(folder / "file");
    put(file.get(), 0, pattern(100000, 1));  // before the wish: anywhere
    CHECK_ERRNO(place(file.get(), goal), 0);
    const std::string content = pattern(1 << 20, 2);
    put(file.get(), 8 << 20, content);
    CHECK(disk_place(file.get(), 8 << 20) == goal);
    CHECK(disk_place(file.get(), (9 << 20) - 4096) == goal + (1 << 20) - 4096);
    CHECK(disk_place(file.get(), 0) != goal);
    // It really is there.
    const unique_fd image(open(shared_mount().image().c_str(), O_RDONLY | O_CLOEXEC));
    std::string there(content.size(), 0);
    REQUIRE(pread(image.get(), there.data(), there.size(), off_t(goal)) == ssize_t(there.size()));
    CHECK(there == content);
    // fallocate follows, too.
    CHECK_ERRNO(place(file.get(), 100u << 20), 0);
    REQUIRE(posix_fallocate(file.get(), 20 << 20, 65536) == 0);
    CHECK(disk_place(file.get(), 20 << 20) == 100u << 20);
}

TEST_CASE("a file goes behind another one's data") {
    Folder folder;
    const unique_fd other = open_new(folder / "other"), file = open_new(folder / "file");
    CHECK_ERRNO(place(other.get(), 150u << 20), 0);
    put(other.get(), 0, pattern(500000, 3));
    CHECK_ERRNO(place(file.get(), status_of(folder / "other").st_ino, EXO_PLACE_NEAR), 0);
    put(file.get(), 0, pattern(500000, 4));
    const uint64_t end = disk_place(other.get(), 499712) + 4096, at = disk_place(file.get(), 0);
    CHECK(at >= end);
    CHECK(at < end + (16u << 20));
}

TEST_CASE("what cannot be placed is refused by name, and the wish before it stays") {
    Folder folder;
    const unique_fd file = open_new(folder / "file");
    const uint64_t goal = 180u << 20;
    CHECK_ERRNO(place(file.get(), goal), 0);
    CHECK_ERRNO(place(file.get(), 256u << 20), EINVAL);
    CHECK_ERRNO(place(file.get(), UINT64_MAX), EINVAL);
    CHECK_ERRNO(place(file.get(), goal, 2), EINVAL);
    CHECK_ERRNO(place(file.get(), goal, 0, 1), EINVAL);
    // A file that is there, but nobody has open; a number that no file has; a directory.
    REQUIRE(write_file(folder / "closed", "x"));
    CHECK_ERRNO(place(file.get(), status_of(folder / "closed").st_ino, EXO_PLACE_NEAR), ENOENT);
    CHECK_ERRNO(place(file.get(), 1u << 30, EXO_PLACE_NEAR), ENOENT);
    CHECK_ERRNO(place(file.get(), status_of(folder.path()).st_ino, EXO_PLACE_NEAR), ENOENT);
    const unique_fd reader(open((folder / "file").c_str(), O_RDONLY | O_CLOEXEC));
    CHECK_ERRNO(place(reader.get(), goal), EBADF);
    const unique_fd directory(open(folder.path().c_str(), O_RDONLY | O_CLOEXEC));
    CHECK_ERRNO(place(directory.get(), goal), EISDIR);
    // Structures grow: unknown bytes must be zero, missing ones cannot be.
    struct {
        exo_file_place known;
        uint64_t more;
    } longer{{goal, 0, 0}, 0};
    const auto command = [](size_t size) { return _IOC(_IOC_WRITE, EXO_IOC_TYPE, 0x64, size); };
    CHECK_ERRNO(ioctl(file.get(), command(sizeof longer), &longer), 0);
    longer.more = 1;
    CHECK_ERRNO(ioctl(file.get(), command(sizeof longer), &longer), E2BIG);
    CHECK_ERRNO(ioctl(file.get(), command(8), &longer), EINVAL);
    put(file.get(), 0, pattern(5000, 5));
    CHECK(disk_place(file.get(), 0) == goal);
}
