// SPDX-License-Identifier: MIT
// How mounts come about, fail and end: mount.exo, umount.fuse.exo, signals, kill -9.
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "fs/base/unique_fd.h"
#include "fs/fuse/mount_table.h"
#include "tests/fuse/mounted_image.h"

using namespace exo;
using namespace exo::test;

namespace {

// One line that mentions `what`, an exit code that is not 0, and no mount.
void check_refused(MountedImage& fs, int exit_code, const std::string& what) {
    CHECK(exit_code != 0);
    CHECK(std::ranges::count(fs.output(), '\n') == 1);
    CHECK_MESSAGE(fs.output().find(what) != std::string::npos, fs.output(), " lacks ", what);
    CHECK(!fs.is_mounted());
    CHECK(fs.daemon() == 0);
}

void wait_for_no_daemon(MountedImage& fs) {
    for (int i = 0; fs.daemon() != 0 && i < 1000; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(fs.daemon() == 0);
}

}  // namespace

TEST_CASE("a mount is silent, shows as fuse.exo, and ends with its umount") {
    MountedImage fs;
    CHECK(fs.output() == "");
    const auto table = fuse::read_mount_table();
    const auto* entry = fuse::find_exo_mount(table, fs.directory());
    REQUIRE(entry);
    CHECK(entry->source == fs.image());
    for (int i = 0; i < 10; ++i) {
        CHECK(write_file(fs.path("f"), std::to_string(i)));
        REQUIRE(fs.umount() == 0);
        CHECK(fs.output() == "");
        CHECK(fs.daemon() == 0);
        CHECK(fs.fsck() == "");
        REQUIRE(fs.mount() == 0);
        CHECK(read_file(fs.path("f")) == std::to_string(i));
    }
}

TEST_CASE("the options that mount(8) passes are taken, unknown ones refused") {
    MountedImage fs({.mount = false});
    check_refused(fs, fs.run_mount({fs.image(), fs.directory(), "-o", "rw,colour=red"}),
                  "colour=red");
    check_refused(fs, fs.run_mount({fs.image()}), "usage");
    REQUIRE(fs.run_mount({fs.image(), fs.directory(), "-sn", "-o",
                          "rw,dev,suid,exec,nofail,_netdev,noatime,x-systemd.automount"}) == 0);
    CHECK(fs.output() == "");
    CHECK(fs.is_mounted());
}

TEST_CASE("what cannot be mounted gets one line that says why") {
    MountedImage fs({.mount = false});
    SUBCASE("no such device") {
        check_refused(fs, fs.run_mount({"/nowhere/at/all", fs.directory()}), "/nowhere/at/all");
    }
    SUBCASE("not a device") {
        check_refused(fs, fs.run_mount({"/proc", fs.directory()}), "/proc");
    }
    SUBCASE("no such directory") {
        check_refused(fs, fs.run_mount({fs.image(), "/nowhere"}), "/nowhere");
    }
    SUBCASE("not a directory") {
        check_refused(fs, fs.run_mount({fs.image(), fs.image()}), "not a directory");
    }
    SUBCASE("another file system") {
        std::ofstream(fs.image(), std::ios::trunc) << std::string(1 << 20, 'x');
        check_refused(fs, fs.mount(), "exo");
    }
    SUBCASE("empty") {
        std::filesystem::resize_file(fs.image(), 0);
        check_refused(fs, fs.mount(), fs.image());
    }
    SUBCASE("cut short") {
        std::filesystem::resize_file(fs.image(), 100 << 20);
        check_refused(fs, fs.mount(), fs.image());
    }
}

TEST_CASE("a device is mounted once") {
    MountedImage fs;
    const std::string elsewhere = fs.directory() + "2";
    std::filesystem::create_directory(elsewhere);
    CHECK(fs.run_mount({fs.image(), elsewhere}) == 32);
    CHECK(fs.output().find("already mounted") != std::string::npos);
    CHECK(write_file(fs.path("f"), "works"));
}

TEST_CASE("-f checks without mounting") {
    MountedImage fs({.mount = false});
    CHECK(fs.run_mount({fs.image(), fs.directory(), "-f"}) == 0);
    CHECK(!fs.is_mounted());
    std::filesystem::resize_file(fs.image(), 0);
    CHECK(fs.run_mount({fs.image(), fs.directory(), "-f"}) != 0);
}

TEST_CASE("a busy mount cannot be unmounted, and goes on") {
    MountedImage fs;
    unique_fd fd(open(fs.path("f").c_str(), O_RDWR | O_CREAT, 0644));
    CHECK(fs.umount() == 32);
    CHECK(fs.output().find("in use") != std::string::npos);
    CHECK(write(fd.get(), "x", 1) == 1);
    fd.reset();
    CHECK(fs.umount() == 0);
}

TEST_CASE("a daemon keeps nothing open of who mounted") {
    MountedImage fs({.mount = false});
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    REQUIRE(fs.mount() == 0);
    close(ends[1]);
    pollfd end{ends[0], POLLIN, 0};
    CHECK(poll(&end, 1, 1000) == 1);
    CHECK((end.revents & POLLHUP) != 0);
    close(ends[0]);
}

TEST_CASE("SIGTERM unmounts cleanly, and writes back what is dirty even when the mount is in use") {
    MountedImage fs;
    REQUIRE(write_file(fs.path("f"), pattern(100000, 1)));
    unique_fd busy;
    SUBCASE("idle") {}
    SUBCASE("in use") {
        busy = unique_fd(open(fs.path("g").c_str(), O_RDWR | O_CREAT, 0644));
        REQUIRE(write(busy.get(), "dirty", 5) == 5);
    }
    kill(fs.daemon(), SIGTERM);
    wait_for_no_daemon(fs);
    CHECK(!fs.is_mounted());
    CHECK(fs.fsck() == "");
    const bool was_busy = bool(busy);
    busy.reset();
    REQUIRE(fs.mount() == 0);
    CHECK(read_file(fs.path("f")) == pattern(100000, 1));
    if (was_busy) CHECK(read_file(fs.path("g")) == "dirty");
}

TEST_CASE("after kill -9 what was synced is there, and the volume is sound") {
    MountedImage fs;
    for (int round = 0; round < 3; ++round) {
        const std::string name = "synced-" + std::to_string(round);
        {
            const unique_fd fd(open(fs.path(name).c_str(), O_WRONLY | O_CREAT, 0644));
            const std::string content = pattern(300000, unsigned(round));
            REQUIRE(write(fd.get(), content.data(), content.size()) == ssize_t(content.size()));
            REQUIRE(fsync(fd.get()) == 0);
        }
        // And things in the middle of being done.
        std::thread busy([&] {
            for (int i = 0; i < 10000; ++i)
                if (!write_file(fs.path("busy-" + std::to_string(i % 50)), pattern(5000, 1)) ||
                    (i % 7 == 0 && unlink(fs.path("busy-" + std::to_string(i % 50)).c_str()) != 0))
                    return;
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
        fs.kill_daemon();
        busy.join();
        struct statfs st;
        CHECK(statfs(fs.directory().c_str(), &st) == -1);
        CHECK(errno == ENOTCONN);
        // With umount before, as a person does, and without, as a service manager does.
        if (round % 2 == 0) CHECK(fs.umount() == 0);
        REQUIRE(fs.mount() == 0);
        for (int i = 0; i <= round; ++i)
            CHECK(read_file(fs.path("synced-" + std::to_string(i))) ==
                  pattern(300000, unsigned(i)));
    }
    REQUIRE(fs.umount() == 0);
    CHECK(fs.fsck() == "");
}
