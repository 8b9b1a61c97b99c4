// SPDX-License-Identifier: MIT
// File contents on a mount: offsets, holes, truncation, mappings, concurrent writers, a full
// volume.
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "fs/base/unique_fd.h"
#include "tests/fuse/mounted_image.h"

using namespace exo;
using namespace exo::test;

namespace {

off_t size_of(const std::string& path) {
    struct stat st{};
    CHECK(stat(path.c_str(), &st) == 0);
    return st.st_size;
}

}  // namespace

TEST_CASE("contents of every size come back, also after a remount") {
    MountedImage fs;
    const std::vector<size_t> sizes = {0,    1,     100,   4095,   4096,    4097,
                                       5000, 65536, 70001, 999999, 1048576, 9000001};
    for (size_t size : sizes) CHECK(write_file(fs.path(std::to_string(size)), pattern(size, 7)));
    for (size_t size : sizes)
        CHECK_MESSAGE(read_file(fs.path(std::to_string(size))) == pattern(size, 7), size);
    REQUIRE(fs.umount() == 0);
    CHECK(fs.fsck() == "");
    REQUIRE(fs.mount() == 0);
    for (size_t size : sizes)
        CHECK_MESSAGE(read_file(fs.path(std::to_string(size))) == pattern(size, 7), size);
}

TEST_CASE("holes read as zeros and are found by SEEK_DATA and SEEK_HOLE") {
    MountedImage fs;
    const unique_fd fd(open(fs.path("f").c_str(), O_RDWR | O_CREAT, 0644));
    REQUIRE(fd);
    REQUIRE(pwrite(fd.get(), "begin", 5, 0) == 5);
    REQUIRE(pwrite(fd.get(), "end", 3, 10 << 20) == 3);
    REQUIRE(fsync(fd.get()) == 0);
    CHECK(size_of(fs.path("f")) == (10 << 20) + 3);
    std::string middle(8192, 'x');
    REQUIRE(pread(fd.get(), middle.data(), middle.size(), 1 << 20) == 8192);
    CHECK(middle == std::string(8192, 0));
    CHECK(lseek(fd.get(), 0, SEEK_HOLE) == 4096);
    CHECK(lseek(fd.get(), 4096, SEEK_DATA) == 10 << 20);
    CHECK(lseek(fd.get(), 11 << 20, SEEK_DATA) == -1);
    CHECK(errno == ENXIO);
    struct stat st;
    REQUIRE(fstat(fd.get(), &st) == 0);
    CHECK(st.st_blocks * 512 < 1 << 20);
}

TEST_CASE("truncation cuts, and what it cut does not come back") {
    MountedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, pattern(20000, 3)));
    REQUIRE(truncate(path.c_str(), 5001) == 0);
    CHECK(read_file(path) == pattern(20000, 3).substr(0, 5001));
    REQUIRE(truncate(path.c_str(), 20000) == 0);
    CHECK(read_file(path) == pattern(20000, 3).substr(0, 5001) + std::string(14999, 0));
    const unique_fd fd(open(path.c_str(), O_RDWR | O_TRUNC));
    CHECK(size_of(path) == 0);
    REQUIRE(ftruncate(fd.get(), 100) == 0);
    CHECK(read_file(path) == std::string(100, 0));
}

TEST_CASE("fallocate reserves, punches and zeroes") {
    MountedImage fs;
    const std::string path = fs.path("f");
    std::string model = pattern(1 << 20, 5);
    REQUIRE(write_file(path, model));
    const unique_fd fd(open(path.c_str(), O_RDWR));
    REQUIRE(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10000, 100000) == 0);
    model.replace(10000, 100000, std::string(100000, 0));
    REQUIRE(fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 500001, 9999) == 0);
    model.replace(500001, 9999, std::string(9999, 0));
    CHECK(read_file(path) == model);
    REQUIRE(fallocate(fd.get(), 0, 0, 2 << 20) == 0);
    model.resize(2 << 20);
    CHECK(read_file(path) == model);
    REQUIRE(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 4 << 20) == 0);
    CHECK(size_of(path) == 2 << 20);
    CHECK(fallocate(fd.get(), FALLOC_FL_COLLAPSE_RANGE, 0, 4096) == -1);
    CHECK(errno == EOPNOTSUPP);
    REQUIRE(fs.umount() != 0);  // still open
}

TEST_CASE("random writes, appends and truncations agree with a model, before and after remount") {
    MountedImage fs;
    const std::string path = fs.path("f");
    std::mt19937 random(20);
    std::string model;
    {
        const unique_fd fd(open(path.c_str(), O_RDWR | O_CREAT, 0644));
        for (int i = 0; i < 400; ++i) {
            const size_t offset = random() % 3000000, length = random() % 60000 + 1;
            if (random() % 10 == 0) {
                REQUIRE(ftruncate(fd.get(), off_t(offset)) == 0);
                model.resize(offset);
            } else {
                const std::string data = pattern(length, unsigned(i));
                REQUIRE(pwrite(fd.get(), data.data(), length, off_t(offset)) == ssize_t(length));
                if (model.size() < offset + length) model.resize(offset + length);
                model.replace(offset, length, data);
            }
            if (random() % 50 == 0) REQUIRE(fdatasync(fd.get()) == 0);
        }
    }
    CHECK(read_file(path) == model);
    REQUIRE(fs.umount() == 0);
    CHECK(fs.fsck() == "");
    REQUIRE(fs.mount() == 0);
    CHECK(read_file(path) == model);
}

TEST_CASE("direct and buffered I/O see each other") {
    MountedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, std::string(1 << 20, 'b')));
    const unique_fd direct(open(path.c_str(), O_RDWR | O_DIRECT));
    REQUIRE(direct);
    char* block = static_cast<char*>(aligned_alloc(4096, 65536));
    memset(block, 'd', 65536);
    CHECK(pwrite(direct.get(), block, 65536, 65536) == 65536);
    std::string expected(1 << 20, 'b');
    expected.replace(65536, 65536, std::string(65536, 'd'));
    CHECK(read_file(path) == expected);
    const unique_fd buffered(open(path.c_str(), O_RDWR));
    CHECK(pwrite(buffered.get(), "now", 3, 131072) == 3);
    CHECK(pread(direct.get(), block, 65536, 131072) == 65536);
    CHECK(memcmp(block, "nowb", 4) == 0);
    free(block);
}

TEST_CASE("a shared mapping writes to the file") {
    MountedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, pattern(100000, 9)));
    {
        const unique_fd fd(open(path.c_str(), O_RDWR));
        char* map = static_cast<char*>(
            mmap(nullptr, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
        REQUIRE(map != MAP_FAILED);
        memcpy(map + 50000, "by mapping", 10);
        REQUIRE(msync(map, 100000, MS_SYNC) == 0);
        memcpy(map + 60000, "without msync", 13);
        munmap(map, 100000);
    }
    std::string model = pattern(100000, 9);
    model.replace(50000, 10, "by mapping");
    model.replace(60000, 13, "without msync");
    CHECK(read_file(path) == model);
    REQUIRE(fs.umount() == 0);
    REQUIRE(fs.mount() == 0);
    CHECK(read_file(path) == model);
}

TEST_CASE("many threads write their own files and their own parts of one file") {
    MountedImage fs;
    constexpr int threads = 8, rounds = 40;
    constexpr size_t part = 20000;
    const std::string shared = fs.path("shared");
    REQUIRE(write_file(shared, ""));
    std::vector<std::thread> writers;
    for (int t = 0; t < threads; ++t) {
        writers.emplace_back([&, t] {
            const unique_fd own(open(fs.path("own-" + std::to_string(t)).c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0644));
            const unique_fd both(open(shared.c_str(), O_WRONLY));
            for (int i = 0; i < rounds; ++i) {
                const std::string data = pattern(part, unsigned(t * rounds + i));
                if (write(own.get(), data.data(), part) != ssize_t(part)) return;
                const off_t offset = off_t((i * threads + t) * part);
                if (pwrite(both.get(), data.data(), part, offset) != ssize_t(part)) return;
            }
        });
    }
    for (auto& writer : writers) writer.join();
    const std::string all = read_file(shared);
    REQUIRE(all.size() == threads * rounds * part);
    for (int t = 0; t < threads; ++t) {
        const std::string own = read_file(fs.path("own-" + std::to_string(t)));
        REQUIRE(own.size() == rounds * part);
        for (int i = 0; i < rounds; ++i) {
            const std::string data = pattern(part, unsigned(t * rounds + i));
            CHECK(own.compare(i * part, part, data) == 0);
            CHECK(all.compare((i * threads + t) * part, part, data) == 0);
        }
    }
}

TEST_CASE("a full volume says so, loses nothing, and recovers when something is removed") {
    MountedImage fs({.size_bytes = 48u << 20});
    REQUIRE(write_file(fs.path("precious"), pattern(500000, 11)));
    const std::string chunk = pattern(1 << 20, 12);
    int whole = 0;
    bool full = false;
    for (; whole < 100 && !full; ++whole) {
        const unique_fd fd(
            open(fs.path("fill-" + std::to_string(whole)).c_str(), O_WRONLY | O_CREAT, 0644));
        if (!fd) break;
        const ssize_t written = write(fd.get(), chunk.data(), chunk.size());
        full = written != ssize_t(chunk.size()) || fsync(fd.get()) != 0;
        if (full && written < 0) CHECK(errno == ENOSPC);
    }
    REQUIRE(whole > 20);
    REQUIRE(whole < 48);
    CHECK(read_file(fs.path("precious")) == pattern(500000, 11));
    for (int i = 0; i + 1 < whole; ++i)
        CHECK_MESSAGE(read_file(fs.path("fill-" + std::to_string(i))) == chunk, i);
    CHECK(unlink(fs.path("fill-0").c_str()) == 0);
    CHECK(unlink(fs.path("fill-1").c_str()) == 0);
    CHECK(unlink(fs.path("fill-2").c_str()) == 0);
    const unique_fd root(open(fs.directory().c_str(), O_RDONLY));
    fsync(root.get());
    CHECK(write_file(fs.path("again"), chunk));
    CHECK(read_file(fs.path("again")) == chunk);
    REQUIRE(fs.umount() != 0);
}

TEST_CASE("statfs tells the size, and space comes back after removal") {
    MountedImage fs;
    struct statvfs before, with;
    REQUIRE(statvfs(fs.directory().c_str(), &before) == 0);
    CHECK(before.f_namemax == 255);
    CHECK(before.f_blocks * before.f_frsize > 200u << 20);
    CHECK(before.f_blocks * before.f_frsize <= 256u << 20);
    REQUIRE(write_file(fs.path("f"), pattern(10 << 20, 1)));
    REQUIRE(statvfs(fs.directory().c_str(), &with) == 0);
    CHECK((before.f_bfree - with.f_bfree) * with.f_frsize >= 10u << 20);
    REQUIRE(unlink(fs.path("f").c_str()) == 0);
    CHECK(fs.gets_free(before.f_bfree * before.f_frsize - (64u << 12)));
}

TEST_CASE("unknown ioctls are ENOTTY") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("f"), "x"));
    for (const std::string& path : {fs.path("f"), fs.directory()}) {
        const unique_fd fd(open(path.c_str(), O_RDONLY));
        char argument[256] = {};
        CHECK(ioctl(fd.get(), _IOWR(0xE0, 0x7f, int), argument) == -1);
        CHECK(errno == ENOTTY);
        CHECK(ioctl(fd.get(), _IO('x', 1), argument) == -1);
        CHECK(errno == ENOTTY);
        CHECK(ioctl(fd.get(), FIFREEZE, argument) == -1);
        CHECK((errno == ENOTTY || errno == EOPNOTSUPP));
    }
}
