// SPDX-License-Identifier: MIT
// Open files: the flags of open, appending, unnamed and unlinked files, locks, mappings, holes with
// data the daemon has not seen, copies within the file system, and unknown requests.
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <vector>

#include "fs/base/unique_fd.h"
#include "tests/fuse/posix.h"

using namespace exo;
using namespace exo::test;

namespace {

unique_fd open_or_fail(const std::string& path, int flags, mode_t mode = 0644) {
    unique_fd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
    REQUIRE_MESSAGE(fd, path, ": ", name_of_errno(errno));
    return fd;
}

}  // namespace

TEST_CASE("the flags of open") {
    const Folder folder;
    REQUIRE(write_file(folder / "f", "content"));
    REQUIRE(symlink("f", (folder / "link").c_str()) == 0);
    REQUIRE(symlink("nowhere", (folder / "dangling").c_str()) == 0);
    CHECK_ERRNO(open((folder / "f").c_str(), O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
    CHECK_ERRNO(open((folder / "dangling").c_str(), O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
    CHECK_ERRNO(open((folder / "link").c_str(), O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK_ERRNO(open((folder / "dangling").c_str(), O_RDONLY), ENOENT);
    CHECK(open_or_fail(folder / "dangling", O_CREAT | O_RDWR).get() >= 0);
    CHECK(status_of(folder / "nowhere").st_size == 0);
    CHECK_ERRNO(open((folder / "f").c_str(), O_RDWR | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(open(folder.path().c_str(), O_RDWR), EISDIR);
    // A file created without the right to write it can be written by who created it.
    const auto fd = open_or_fail(folder / "readonly", O_CREAT | O_EXCL | O_WRONLY, 0444);
    CHECK(write(fd.get(), "x", 1) == 1);
    const auto reader = open_or_fail(folder / "f", O_RDONLY);
    CHECK_ERRNO(write(reader.get(), "x", 1), EBADF);
    const auto path_only = open_or_fail(folder / "f", O_PATH);
    char byte;
    CHECK_ERRNO(read(path_only.get(), &byte, 1), EBADF);
}

TEST_CASE("several processes append whole records") {
    const Folder folder;
    constexpr int kProcesses = 4, kRecords = 200;
    constexpr size_t kLength = 31;
    std::vector<pid_t> children;
    for (int process = 0; process < kProcesses; ++process) {
        const pid_t child = fork();
        if (child == 0) {
            const int fd = open((folder / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
            const std::string record(kLength, char('a' + process));
            int good = fd >= 0;
            for (int i = 0; i < kRecords; ++i)
                good &= write(fd, record.data(), kLength) == ssize_t(kLength);
            _exit(good ? 0 : 1);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        waitpid(child, &status, 0);
        CHECK(status == 0);
    }
    const std::string log = read_file(folder / "log");
    REQUIRE(log.size() == kProcesses * kRecords * kLength);
    for (size_t at = 0; at < log.size(); at += kLength)
        CHECK(log.substr(at, kLength) == std::string(kLength, log[at]));
}

TEST_CASE("O_SYNC and O_DSYNC writes are on the image when write returns") {
    MountedImage fs;
    for (const int flag : {O_SYNC, O_DSYNC}) {
        const std::string name = "f" + std::to_string(flag);
        const auto fd = open_or_fail(fs.path(name), O_CREAT | O_WRONLY | flag);
        REQUIRE(write(fd.get(), "durable", 7) == 7);
    }
    fs.kill_daemon();
    REQUIRE(fs.mount() == 0);
    CHECK(read_file(fs.path("f" + std::to_string(O_SYNC))) == "durable");
    CHECK(read_file(fs.path("f" + std::to_string(O_DSYNC))) == "durable");
    REQUIRE(fs.umount() == 0);
    CHECK(fs.fsck() == "");
}

TEST_CASE("an unnamed file has no name until it is linked, and leaves nothing behind without") {
    const Folder folder;
    struct stat st;
    {
        const auto fd = open_or_fail(folder.path(), O_TMPFILE | O_RDWR, 0640);
        REQUIRE(write(fd.get(), "unnamed", 7) == 7);
        REQUIRE(fstat(fd.get(), &st) == 0);
        CHECK(st.st_nlink == 0);
        CHECK((st.st_mode & 07777) == 0640);
        const std::string self = "/proc/self/fd/" + std::to_string(fd.get());
        CHECK_ERRNO(
            linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (folder / "named").c_str(), AT_SYMLINK_FOLLOW),
            0);
        REQUIRE(fstat(fd.get(), &st) == 0);
        CHECK(st.st_nlink == 1);
    }
    CHECK(read_file(folder / "named") == "unnamed");
    {
        const auto exclusive = open_or_fail(folder.path(), O_TMPFILE | O_RDWR | O_EXCL, 0600);
        const std::string self = "/proc/self/fd/" + std::to_string(exclusive.get());
        CHECK_ERRNO(
            linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (folder / "no").c_str(), AT_SYMLINK_FOLLOW),
            ENOENT);
    }
    CHECK_ERRNO(open((folder / "named").c_str(), O_TMPFILE | O_RDWR, 0600), ENOTDIR);
}

TEST_CASE("an unlinked file lives until its last close") {
    const Folder folder;
    const auto fd = open_or_fail(folder / "f", O_CREAT | O_RDWR);
    REQUIRE(write(fd.get(), "alive", 5) == 5);
    REQUIRE(unlink((folder / "f").c_str()) == 0);
    CHECK_ERRNO(access((folder / "f").c_str(), F_OK), ENOENT);
    CHECK_ERRNO(fsync(fd.get()), 0);
    CHECK_ERRNO(ftruncate(fd.get(), 4), 0);
    CHECK_ERRNO(fchmod(fd.get(), 0600), 0);
    char text[8] = {};
    CHECK(pread(fd.get(), text, 8, 0) == 4);
    CHECK(std::string(text) == "aliv");
    // A removed directory holds nothing new.
    REQUIRE(mkdir((folder / "d").c_str(), 0755) == 0);
    const auto dir = open_or_fail(folder / "d", O_RDONLY | O_DIRECTORY);
    REQUIRE(rmdir((folder / "d").c_str()) == 0);
    CHECK_ERRNO(openat(dir.get(), "new", O_CREAT | O_WRONLY, 0644), ENOENT);
    CHECK_ERRNO(mkdirat(dir.get(), "new", 0755), ENOENT);
}

TEST_CASE("locks of both kinds keep others out") {
    const Folder folder;
    const auto fd = open_or_fail(folder / "f", O_CREAT | O_RDWR);
    REQUIRE(flock(fd.get(), LOCK_EX) == 0);
    struct flock range{};
    range.l_type = F_WRLCK;
    range.l_start = 10;
    range.l_len = 10;
    REQUIRE(fcntl(fd.get(), F_SETLK, &range) == 0);
    const auto in_other_process = [&](auto&& call) { return errno_as(0, call); };
    CHECK(in_other_process([&] {
              return flock(open((folder / "f").c_str(), O_RDWR), LOCK_EX | LOCK_NB);
          }) == EWOULDBLOCK);
    const auto lock_at = [&](off_t start) {
        struct flock wanted{};
        wanted.l_type = F_WRLCK;
        wanted.l_start = start;
        wanted.l_len = 5;
        return fcntl(open((folder / "f").c_str(), O_RDWR), F_SETLK, &wanted);
    };
    CHECK(in_other_process([&] { return lock_at(15); }) == EAGAIN);
    CHECK(in_other_process([&] { return lock_at(20); }) == 0);
}

TEST_CASE("shared mappings and file calls see one file") {
    const Folder folder;
    const auto fd = open_or_fail(folder / "f", O_CREAT | O_RDWR);
    constexpr size_t kLength = 3 * 4096 + 100;
    REQUIRE(ftruncate(fd.get(), kLength) == 0);
    char* map =
        static_cast<char*>(mmap(nullptr, kLength, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
    REQUIRE(map != MAP_FAILED);
    memcpy(map + 4090, "across the pages", 16);
    CHECK(read_file(folder / "f").substr(4090, 16) == "across the pages");
    REQUIRE(pwrite(fd.get(), "written", 7, 8192) == 7);
    CHECK(std::string(map + 8192, 7) == "written");
    REQUIRE(ftruncate(fd.get(), 4096) == 0);
    REQUIRE(ftruncate(fd.get(), kLength) == 0);
    CHECK(map[8192] == 0);  // cut off and gone
    munmap(map, kLength);
    CHECK(status_of(folder / "f").st_size == kLength);
}

TEST_CASE("SEEK_DATA and SEEK_HOLE know of data that only the kernel has yet") {
    const Folder folder;
    const auto fd = open_or_fail(folder / "f", O_CREAT | O_RDWR);
    REQUIRE(ftruncate(fd.get(), 1 << 20) == 0);
    CHECK_ERRNO(lseek(fd.get(), 0, SEEK_DATA), ENXIO);
    REQUIRE(pwrite(fd.get(), "data", 4, 65536) == 4);  // dirty in the page cache
    CHECK(lseek(fd.get(), 0, SEEK_DATA) == 65536);
    CHECK(lseek(fd.get(), 0, SEEK_HOLE) == 0);
    CHECK(lseek(fd.get(), 65536, SEEK_HOLE) == 65536 + 4096);
    CHECK_ERRNO(lseek(fd.get(), 65536 + 4096, SEEK_DATA), ENXIO);
    CHECK_ERRNO(lseek(fd.get(), 1 << 20, SEEK_HOLE), ENXIO);
    char text[5] = {};
    CHECK(pread(fd.get(), text, 4, 65536) == 4);
    CHECK(std::string(text) == "data");
}

TEST_CASE("copy_file_range copies what was just written, holes as holes") {
    const Folder folder;
    const std::string content = pattern(300000, 7);
    const auto source = open_or_fail(folder / "a", O_CREAT | O_RDWR),
               target = open_or_fail(folder / "b", O_CREAT | O_RDWR);
    REQUIRE(write(source.get(), content.data(), content.size()) == ssize_t(content.size()));
    REQUIRE(ftruncate(source.get(), 10 << 20) == 0);
    loff_t from = 0, to = 0;
    while (from < (10 << 20)) {
        const ssize_t n = copy_file_range(source.get(), &from, target.get(), &to, 20 << 20, 0);
        REQUIRE(n > 0);
    }
    CHECK(copy_file_range(source.get(), &from, target.get(), &to, 1, 0) == 0);
    const std::string copy = read_file(folder / "b");
    CHECK(copy.size() == size_t(10 << 20));
    CHECK(copy.substr(0, content.size()) == content);
    CHECK(copy.find_first_not_of('\0', content.size()) == std::string::npos);
    CHECK(status_of(folder / "b").st_blocks < 2000);
    from = 0;
    to = 100;
    CHECK_ERRNO(copy_file_range(source.get(), &from, source.get(), &to, 1000, 0), EINVAL);
}

TEST_CASE("requests that nobody knows are ENOTTY") {
    const Folder folder;
    const auto fd = open_or_fail(folder / "f", O_CREAT | O_RDWR);
    const auto dir = open_or_fail(folder.path(), O_RDONLY | O_DIRECTORY);
    char buffer[256] = {};
    for (const int descriptor : {fd.get(), dir.get()}) {
        CHECK_ERRNO(ioctl(descriptor, _IO('x', 99)), ENOTTY);
        CHECK_ERRNO(ioctl(descriptor, _IOWR('x', 99, buffer), buffer), ENOTTY);
        CHECK_ERRNO(ioctl(descriptor, _IOR(0xEE, 1, int), buffer), ENOTTY);
    }
}

TEST_CASE("holes, and space that is allocated, punched and zeroed, read as they should") {
    const Folder folder;
    const auto fd = open_or_fail(folder / "f", O_CREAT | O_RDWR);
    std::string model(200000, 0);
    const auto check = [&](const char* what) {
        CHECK_MESSAGE(read_file(folder / "f") == model, what);
    };
    const std::string data = pattern(100000, 3);
    REQUIRE(pwrite(fd.get(), data.data(), data.size(), 50001) == ssize_t(data.size()));
    REQUIRE(ftruncate(fd.get(), off_t(model.size())) == 0);
    model.replace(50001, data.size(), data);
    check("written");
    REQUIRE(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 60000, 30000) == 0);
    model.replace(60000, 30000, std::string(30000, 0));
    check("punched");
    REQUIRE(fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 100, 59000) == 0);
    model.replace(100, 59000, std::string(59000, 0));
    check("zeroed");
    REQUIRE(fallocate(fd.get(), 0, 190000, 110000) == 0);
    model.resize(300000);
    check("allocated");
    REQUIRE(pwrite(fd.get(), "in the middle", 13, 250000) == 13);
    model.replace(250000, 13, "in the middle");
    check("written into allocated space");
    CHECK_ERRNO(fallocate(fd.get(), FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
    CHECK_ERRNO(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
    CHECK_ERRNO(fallocate(fd.get(), 0, 0, 0), EINVAL);
    CHECK_ERRNO(fallocate(fd.get(), 0, -1, 10), EINVAL);
}
