// SPDX-License-Identifier: MIT
// Pins as processes see them, with a fake of the kernel module: what is refused and what goes on,
// who may pin, and what becomes of pins when files are closed or unlinked, or the daemon ends or is
// killed.
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
#include <sys/xattr.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fs/base/unique_fd.h"
#include "tests/fuse/mounted_image.h"

using namespace exo;
using namespace exo::test;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

struct PinnedImage : MountedImage {
    PinnedImage() : MountedImage({.fake_module = true}) {}
    void grants(int count) { std::ofstream(state("grants")) << count << "\n"; }
    size_t module_pins() {
        std::ifstream file(state("pins"));
        size_t lines = 0;
        for (std::string line; std::getline(file, line);) ++lines;
        return lines;
    }
};

bool writable(const std::string& path) {
    const unique_fd fd(open(path.c_str(), O_WRONLY));
    if (!fd) CHECK(errno == EPERM);
    return bool(fd);
}

template <typename Condition>
bool soon(Condition condition, Clock::duration patience = 5s) {
    const auto deadline = Clock::now() + patience;
    while (!condition()) {
        if (Clock::now() > deadline) return false;
        std::this_thread::sleep_for(10ms);
    }
    return true;
}

// The file's bytes, read from the image at the places that EXO_FILE_MAP tells.
std::string through_the_map(const MountedImage& fs, const std::string& path) {
    const unique_fd file(open(path.c_str(), O_RDONLY)), image(open(fs.image().c_str(), O_RDONLY));
    struct stat st;
    REQUIRE(fstat(file.get(), &st) == 0);
    std::string content((size_t(st.st_size) + 4095) / 4096 * 4096, 0);
    exo_file_map map{};
    for (;;) {
        REQUIRE(ioctl(file.get(), EXO_FILE_MAP, &map) == 0);
        if (map.count == 0) break;
        for (uint32_t i = 0; i < map.count; ++i) {
            const exo_file_extent& extent = map.extents[i];
            map.start_offset = extent.file_offset + extent.length;
            if (extent.flags & EXO_EXTENT_UNWRITTEN || extent.file_offset >= content.size())
                continue;
            const size_t length =
                std::min<size_t>(extent.length, content.size() - extent.file_offset);
            REQUIRE(pread(image.get(), content.data() + extent.file_offset, length,
                          off_t(extent.disk_offset)) == ssize_t(length));
        }
    }
    content.resize(size_t(st.st_size));
    return content;
}

}  // namespace

TEST_CASE("a pinned file cannot change, but can be read, renamed, linked and chmod-ed") {
    PinnedImage fs;
    const std::string content = pattern(100000, 1), path = fs.path("f");
    REQUIRE(write_file(path, content));
    const unique_fd reader(open(path.c_str(), O_RDONLY));
    REQUIRE(pin(path, true) == 0);
    CHECK(fs.module_pins() == 1);
    CHECK(info(path).flags == (EXO_FILE_PINNED | EXO_FILE_PIN_PERSISTENT | EXO_FILE_KERNEL));

    const auto refused = [](int result) { return result == -1 && errno == EPERM; };
    CHECK(refused(open(path.c_str(), O_WRONLY)));
    CHECK(refused(open(path.c_str(), O_RDWR)));
    CHECK(refused(open(path.c_str(), O_WRONLY | O_TRUNC)));
    CHECK(refused(open(path.c_str(), O_WRONLY | O_APPEND)));
    CHECK(refused(truncate(path.c_str(), 0)));
    CHECK(refused(truncate(path.c_str(), 200000)));
    CHECK(read_file(path) == content);

    CHECK(rename(path.c_str(), fs.path("g").c_str()) == 0);
    CHECK(link(fs.path("g").c_str(), path.c_str()) == 0);
    CHECK(chmod(path.c_str(), 0600) == 0);
    CHECK(chown(path.c_str(), 1, 1) == 0);
    CHECK(utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0);
    CHECK(unlink(fs.path("g").c_str()) == 0);
    CHECK(read_file(path) == content);

    CHECK(unpin(path) == 0);
    CHECK(fs.module_pins() == 0);
    CHECK(writable(path));
    CHECK(truncate(path.c_str(), 5) == 0);
    CHECK(unpin(path) == ENODATA);
}

TEST_CASE("the immutable attribute shows exactly while a file is pinned") {
    PinnedImage fs;
    REQUIRE(write_file(fs.path("f"), "x"));
    const unique_fd fd(open(fs.path("f").c_str(), O_RDONLY));
    const auto flags = [&] {
        int value = -1;
        CHECK(ioctl(fd.get(), FS_IOC_GETFLAGS, &value) == 0);
        return value;
    };
    const auto extended = [&] {
        fsxattr value{};
        CHECK(ioctl(fd.get(), FS_IOC_FSGETXATTR, &value) == 0);
        return value.fsx_xflags;
    };
    CHECK(flags() == 0);
    CHECK(extended() == 0);
    REQUIRE(pin(fd.get(), true) == 0);
    CHECK(flags() == FS_IMMUTABLE_FL);
    CHECK(extended() == FS_XFLAG_IMMUTABLE);
    int none = 0;
    CHECK(ioctl(fd.get(), FS_IOC_SETFLAGS, &none) == -1);
    CHECK(errno == EOPNOTSUPP);
    REQUIRE(unpin(fs.path("f")) == 0);
    CHECK(flags() == 0);
}

TEST_CASE("a pin waits for no writer, but for the release of one that just closed") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    {
        const unique_fd writer(open(path.c_str(), O_RDWR | O_CREAT, 0644));
        REQUIRE(write(writer.get(), "abc", 3) == 3);
        CHECK(pin(path, true) == ETXTBSY);
        CHECK(write(writer.get(), "def", 3) == 3);  // not disturbed
        CHECK(ftruncate(writer.get(), 6) == 0);
    }
    for (int i = 0; i < 50; ++i) {
        const std::string content = pattern(50000, unsigned(i));
        REQUIRE(write_file(path, content));
        REQUIRE(pin(path, true) == 0);
        REQUIRE(through_the_map(fs, path) == content);
        REQUIRE(unpin(path) == 0);
    }
}

TEST_CASE("a writable mapping counts as a writer, and what it wrote is pinned") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, pattern(200000, 2)));
    unique_fd fd(open(path.c_str(), O_RDWR));
    char* map =
        static_cast<char*>(mmap(nullptr, 200000, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
    REQUIRE(map != MAP_FAILED);
    fd.reset();
    memcpy(map + 100000, "mapped", 6);
    CHECK(pin(path, true) == ETXTBSY);
    memcpy(map + 150000, "again", 5);
    munmap(map, 200000);
    REQUIRE(pin(path, true) == 0);
    std::string model = pattern(200000, 2);
    model.replace(100000, 6, "mapped");
    model.replace(150000, 5, "again");
    CHECK(through_the_map(fs, path) == model);
}

TEST_CASE("files of every shape lie on the device when they are pinned") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    SUBCASE("empty") {
        REQUIRE(write_file(path, ""));
        REQUIRE(pin(path, true) == 0);
        CHECK(info(path).extents == 0);
    }
    SUBCASE("tiny") {
        REQUIRE(write_file(path, "ten bytes."));
        REQUIRE(pin(path, true) == 0);
        CHECK(info(path).extents == 1);
        CHECK(through_the_map(fs, path) == "ten bytes.");
    }
    SUBCASE("sparse and preallocated") {
        {
            const unique_fd fd(open(path.c_str(), O_RDWR | O_CREAT, 0644));
            REQUIRE(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 1 << 20) == 0);
            REQUIRE(pwrite(fd.get(), "middle", 6, 300000) == 6);
            REQUIRE(pwrite(fd.get(), "far", 3, 5000001) == 3);
        }
        REQUIRE(pin(path, true) == 0);
        std::string model(5000004, 0);
        model.replace(300000, 6, "middle");
        model.replace(5000001, 3, "far");
        CHECK(through_the_map(fs, path) == model);
        CHECK(read_file(path) == model);
    }
    SUBCASE("fragmented") {
        // A hole after every block: no allocator can join them.
        std::string model;
        {
            const unique_fd fd(open(path.c_str(), O_WRONLY | O_CREAT, 0644));
            for (unsigned i = 0; i < 300; ++i) {
                const std::string block = pattern(4096, i);
                REQUIRE(pwrite(fd.get(), block.data(), 4096, off_t(model.size())) == 4096);
                model += block + std::string(4096, 0);
            }
            REQUIRE(ftruncate(fd.get(), off_t(model.size())) == 0);
        }
        REQUIRE(pin(path, true) == 0);
        CHECK(info(path).extents == 300);
        CHECK(through_the_map(fs, path) == model);
    }
}

TEST_CASE("pinning needs the right to write, and a regular file") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, "x"));
    const auto pin_as = [&](uid_t uid, gid_t gid) {
        return as_user(uid, gid, [&] { return pin(path, true); });
    };
    CHECK(pin_as(1000, 1000) == EACCES);
    CHECK(as_user(1000, 1000, [&] { return unpin(path); }) == EACCES);
    REQUIRE(chown(path.c_str(), 1000, 2000) == 0);
    CHECK(pin_as(1000, 1000) == 0);
    CHECK(as_user(1000, 1000, [&] { return unpin(path); }) == 0);
    REQUIRE(chmod(path.c_str(), 0464) == 0);
    CHECK(pin_as(1000, 2000) == EACCES);  // the owner's bits decide for the owner
    CHECK(pin_as(1001, 2000) == 0);
    CHECK(as_user(1001, 2000, [&] { return unpin(path); }) == 0);
    CHECK(pin_as(1001, 1001) == EACCES);
    CHECK(pin(fs.directory(), true) == EISDIR);
}

TEST_CASE("pinning heeds an access ACL, in which the group's bits are only the mask") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, "x"));
    REQUIRE(chown(path.c_str(), 1000, 2000) == 0);
    // Version 2; owner rw, user 7000 r, user 7001 w, owning group r, group 3000 w, mask rw, others
    // w.
    struct Entry {
        uint16_t tag, permissions;
        uint32_t id;
    };
    struct {
        uint32_t version = 2;
        Entry entries[7] = {{1, 6, ~0u},  {2, 4, 7000}, {2, 6, 7001}, {4, 4, ~0u},
                            {8, 6, 3000}, {16, 6, ~0u}, {32, 6, ~0u}};
    } acl;
    REQUIRE(setxattr(path.c_str(), "system.posix_acl_access", &acl, sizeof acl, 0) == 0);
    const auto pin_as = [&](uid_t uid, gid_t gid) {
        const int code = as_user(uid, gid, [&] { return pin(path, true); });
        if (code == 0) CHECK(as_user(uid, gid, [&] { return unpin(path); }) == 0);
        // The kernel's own judgement of the same.
        CHECK((code == 0) ==
              (as_user(uid, gid, [&] { return open(path.c_str(), O_WRONLY) >= 0 ? 0 : 1; }) == 0));
        return code;
    };
    CHECK(pin_as(1000, 1000) == 0);
    CHECK(pin_as(7000, 1) == EACCES);
    CHECK(pin_as(7001, 1) == 0);
    CHECK(pin_as(1001, 2000) == EACCES);
    CHECK(pin_as(1001, 3000) == 0);
    CHECK(pin_as(1001, 1001) == 0);
}

TEST_CASE("a lease ends with the open file that pinned") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, "x"));
    unique_fd owner(open(path.c_str(), O_RDONLY));
    unique_fd other(open(path.c_str(), O_RDONLY));
    REQUIRE(pin(owner.get(), false) == 0);
    CHECK(info(path).flags == (EXO_FILE_PINNED | EXO_FILE_KERNEL));
    CHECK(pin(other.get(), false) == EEXIST);
    other.reset();
    std::this_thread::sleep_for(100ms);
    CHECK(!writable(path));
    owner.reset();
    CHECK(soon([&] { return fs.module_pins() == 0; }));
    CHECK(soon([&] { return writable(path); }));
}

TEST_CASE("a lease may be made persistent, and a process that dies ends its lease") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, "x"));
    {
        const unique_fd owner(open(path.c_str(), O_RDONLY));
        REQUIRE(pin(owner.get(), false) == 0);
        CHECK(pin(path, true) == 0);
        CHECK(pin(path, true) == EEXIST);
    }
    std::this_thread::sleep_for(200ms);
    CHECK(!writable(path));
    CHECK(fs.module_pins() == 1);
    REQUIRE(unpin(path) == 0);

    CHECK(as_user(0, 0, [&] {
              const int fd = open(path.c_str(), O_RDONLY);
              return pin(fd, false) == 0 && fs.module_pins() == 1 ? 0 : 1;  // and exits
          }) == 0);
    CHECK(soon([&] { return fs.module_pins() == 0 && writable(path); }));
}

TEST_CASE("unpin reports what it revoked, and fails without harm when a read is stuck") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, "x"));
    REQUIRE(pin(path, true) == 0);
    std::ofstream(fs.state("stuck")).close();
    CHECK(unpin(path) == ETIMEDOUT);
    CHECK(!writable(path));
    CHECK((info(path).flags & EXO_FILE_PINNED) != 0);
    std::filesystem::remove(fs.state("stuck"));
    fs.grants(3);
    exo_file_unpin answer{};
    CHECK(unpin(path, 50, &answer) == 0);
    CHECK(answer.revoked_grants == 3);
    CHECK(writable(path));
}

TEST_CASE("nothing waits for the grace periods of others") {
    PinnedImage fs;
    constexpr int files = 24;
    for (int i = 0; i < files; ++i) {
        REQUIRE(write_file(fs.path(std::to_string(i)), "x"));
        REQUIRE(pin(fs.path(std::to_string(i)), true) == 0);
    }
    fs.grants(1);
    std::vector<std::thread> waiting;
    std::vector<int> results(files, -1);
    for (int i = 0; i < files; ++i)
        waiting.emplace_back(
            [&, i] { results[size_t(i)] = unpin(fs.path(std::to_string(i)), 2000); });
    std::this_thread::sleep_for(100ms);
    const auto start = Clock::now();
    for (int i = 0; i < 50; ++i) {
        CHECK(write_file(fs.path("other"), pattern(10000, unsigned(i))));
        CHECK(read_file(fs.path("other")) == pattern(10000, unsigned(i)));
        CHECK(!writable(fs.path("0")));
    }
    CHECK(Clock::now() - start < 1500ms);
    fs.grants(0);
    for (auto& thread : waiting) thread.join();
    for (int result : results) CHECK(result == 0);
}

TEST_CASE("what the module refuses is not pinned") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, pattern(10000, 1)));
    std::ofstream(fs.state("limit")) << "0\n";
    CHECK(pin(path, true) == E2BIG);
    CHECK((info(path).flags & EXO_FILE_PINNED) == 0);
    CHECK(writable(path));
}

TEST_CASE("persistent pins survive umount and mount") {
    PinnedImage fs;
    const std::string path = fs.path("f"), content = pattern(70000, 4);
    REQUIRE(write_file(path, content));
    REQUIRE(pin(path, true) == 0);
    REQUIRE(fs.umount() == 0);
    CHECK(fs.module_pins() == 0);  // the device is free
    CHECK(fs.fsck() == "");
    REQUIRE(fs.mount() == 0);
    CHECK(fs.module_pins() == 1);
    CHECK(!writable(path));
    CHECK(through_the_map(fs, path) == content);
    CHECK(unpin(path) == 0);
    CHECK(writable(path));
}

TEST_CASE("after a daemon's death persistent pins go on undisturbed and leases are revoked") {
    PinnedImage fs;
    REQUIRE(write_file(fs.path("kept"), pattern(50000, 1)));
    REQUIRE(write_file(fs.path("leased"), pattern(50000, 2)));
    REQUIRE(write_file(fs.path("gone"), pattern(50000, 3)));
    REQUIRE(pin(fs.path("kept"), true) == 0);
    unique_fd lease(open(fs.path("leased").c_str(), O_RDONLY));
    REQUIRE(pin(lease.get(), false) == 0);
    unique_fd nameless(open(fs.path("gone").c_str(), O_RDONLY));
    REQUIRE(pin(nameless.get(), false) == 0);
    REQUIRE(unlink(fs.path("gone").c_str()) == 0);
    const unique_fd root(open(fs.directory().c_str(), O_RDONLY));
    REQUIRE(fsync(root.get()) == 0);
    const uint64_t kept_ino = info(fs.path("kept")).ino;

    fs.kill_daemon();
    CHECK(fs.module_pins() == 3);
    std::ofstream(fs.state("log")).close();
    REQUIRE(fs.mount() == 0);
    CHECK(fs.module_pins() == 1);
    const std::string log = read_file(fs.state("log"));
    CHECK(log.starts_with("attach 3\n"));
    CHECK(log.find("pin " + std::to_string(kept_ino) + "\n") == std::string::npos);
    CHECK(!writable(fs.path("kept")));
    CHECK(through_the_map(fs, fs.path("kept")) == pattern(50000, 1));
    CHECK(writable(fs.path("leased")));
    CHECK(read_file(fs.path("leased")) == pattern(50000, 2));
    REQUIRE(fs.umount() == 0);
    CHECK(fs.fsck() == "");
}

TEST_CASE("a mount that cannot revoke a dead daemon's pins does not come about") {
    PinnedImage fs;
    REQUIRE(write_file(fs.path("f"), "x"));
    const unique_fd lease(open(fs.path("f").c_str(), O_RDONLY));
    REQUIRE(pin(lease.get(), false) == 0);
    fs.kill_daemon();
    std::ofstream(fs.state("stuck")).close();
    CHECK(fs.mount() == 32);
    CHECK(fs.module_pins() == 1);
    std::filesystem::remove(fs.state("stuck"));
    CHECK_MESSAGE(fs.mount() == 0, fs.output());
    CHECK(fs.module_pins() == 0);
    CHECK(read_file(fs.path("f")) == "x");
}

TEST_CASE("an unlinked pinned file keeps its blocks until its last grant closes") {
    PinnedImage fs;
    const auto blocks_free = [&] {
        struct statvfs st;
        REQUIRE(statvfs(fs.directory().c_str(), &st) == 0);
        return st.f_bfree;
    };
    const unique_fd root(open(fs.directory().c_str(), O_RDONLY));
    REQUIRE(write_file(fs.path("f"), pattern(20 << 20, 1)));
    REQUIRE(pin(fs.path("f"), true) == 0);
    fs.grants(1);
    const auto with = blocks_free();
    REQUIRE(unlink(fs.path("f").c_str()) == 0);
    REQUIRE(fsync(root.get()) == 0);
    std::this_thread::sleep_for(2500ms);
    CHECK(fs.module_pins() == 1);
    CHECK(blocks_free() < with + 100);
    SUBCASE("while the daemon lives") {}
    SUBCASE("through its death") {
        fs.kill_daemon();
        REQUIRE(fs.mount() == 0);
        CHECK(fs.module_pins() == 1);
        CHECK(blocks_free() < with + 100);
    }
    fs.grants(0);
    CHECK(soon([&] { return fs.module_pins() == 0; }));
    CHECK(soon([&] {
        const unique_fd again(open(fs.directory().c_str(), O_RDONLY));
        fsync(again.get());
        return blocks_free() > with + 4000;
    }));
}

TEST_CASE("without the module nothing can be pinned, and pinned files stay immutable") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, "x"));
    REQUIRE(pin(path, true) == 0);
    REQUIRE(fs.umount() == 0);
    REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-o", "nokernel"}) == 0);
    CHECK(info(path).flags == (EXO_FILE_PINNED | EXO_FILE_PIN_PERSISTENT));
    CHECK(!writable(path));
    CHECK(write_file(fs.path("g"), "y"));
    CHECK(pin(fs.path("g"), true) == ENODEV);
    CHECK(pin(fs.path("g"), false) == ENODEV);
    CHECK(unpin(path) == 0);
    CHECK(writable(path));
}

TEST_CASE("arguments of the pin calls are checked") {
    PinnedImage fs;
    const std::string path = fs.path("f");
    REQUIRE(write_file(path, "x"));
    const unique_fd fd(open(path.c_str(), O_RDONLY));
    const auto result = [&](unsigned long command, void* argument) {
        return ioctl(fd.get(), command, argument) == 0 ? 0 : errno;
    };
    exo_file_pin bad_flag{1u << 5, 0}, bad_reserved{0, 1};
    CHECK(result(EXO_FILE_PIN, &bad_flag) == EINVAL);
    CHECK(result(EXO_FILE_PIN, &bad_reserved) == EINVAL);
    exo_file_unpin bad_unpin{};
    bad_unpin.flags = 1;
    CHECK(result(EXO_FILE_UNPIN, &bad_unpin) == EINVAL);
    // From the future: longer, and only acceptable when what we do not know is not used.
    struct {
        exo_file_pin pin;
        uint64_t more;
    } future{};
    const auto longer = _IOC(_IOC_WRITE, EXO_IOC_TYPE, _IOC_NR(EXO_FILE_PIN), sizeof future);
    future.more = 1;
    CHECK(result(longer, &future) == E2BIG);
    future.more = 0;
    CHECK(result(longer, &future) == 0);
    CHECK(unpin(path) == 0);
    const auto shorter = _IOC(_IOC_WRITE, EXO_IOC_TYPE, _IOC_NR(EXO_FILE_PIN), 4);
    CHECK(result(shorter, &future) == EINVAL);
    exo_file_map map{};
    map.flags = 1;
    CHECK(result(EXO_FILE_MAP, &map) == EINVAL);
    const unique_fd write_only(open(path.c_str(), O_WRONLY));
    map.flags = 0;
    CHECK(ioctl(write_only.get(), EXO_FILE_MAP, &map) == -1);
    CHECK(errno == EBADF);
}
