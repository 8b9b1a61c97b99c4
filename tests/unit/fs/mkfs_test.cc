// SPDX-License-Identifier: MIT
// Making volumes, and what is said about devices that are none, or are damaged.
#include "fs/mkfs/mkfs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <functional>

#include "fs/device/open_device.h"
#include "fs/format/superblock.h"
#include "fs/volume/superblock_io.h"
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {
Result<> try_mount(MemoryDevice& device, bool read_only = false) {
    MountOptions options = quiet_mount();
    options.read_only = read_only;
    auto volume = Volume::open(std::make_unique<BorrowedDevice>(device), options);
    if (!volume) return std::unexpected(volume.error());
    return (*volume)->close();
}

void rewrite_superblock(MemoryDevice& device, const std::function<void(Superblock&)>& change) {
    auto loaded = load_superblock(device);
    EXO_REQUIRE_OK(loaded);
    change(loaded->superblock);
    EXO_REQUIRE_OK(store_superblock(device, loaded->superblock, 0));
}

bool says(const Result<>& result, const char* words) {
    return !result && result.error().message.find(words) != std::string::npos;
}
}  // namespace

TEST_CASE("volumes of many sizes are sound from the start") {
    for (const uint64_t size :
         {uint64_t(16) << 20, (uint64_t(16) << 20) + 12345 * 4096, kGroupBlocks * 4096,
          (kGroupBlocks + 1) * 4096, (kGroupBlocks + 64) * 4096, uint64_t(3) << 30}) {
        MemoryDevice device(size);
        auto made = mkfs(device, {.label = "test", .root_mode = 01777});
        EXO_REQUIRE_OK(made);
        require_sound(device);
        auto v = mount(device);
        CHECK(v->info().label == "test");
        CHECK(v->statfs().blocks_free == made->free_blocks);
        CHECK(v->getattr(kRootIno)->mode == (S_IFDIR | 01777));
    }
}

TEST_CASE("mkfs refuses what cannot work and says why") {
    MemoryDevice small(15u << 20);
    auto refused = mkfs(small, {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("at least 16777216") != std::string::npos);
    MemoryDevice device(32u << 20);
    EXO_CHECK_CODE(mkfs(device, {.label = std::string(32, 'l')}), EINVAL);
    EXO_CHECK_CODE(mkfs(device, {.size_bytes = 1u << 30}), EINVAL);
    EXO_CHECK_CODE(mkfs(device, {.journal_bytes = 4096}), EINVAL);
}

TEST_CASE("what is no volume, or a damaged one, is told apart") {
    const QuietLog quiet;
    MemoryDevice blank(32u << 20);
    CHECK(says(try_mount(blank), "not an exo file system"));
    MemoryDevice tiny(1u << 20);
    CHECK(says(try_mount(tiny), "too small"));

    MemoryDevice device = fresh_image();
    device.poke(200, "x", 1);
    REQUIRE(try_mount(device, true));  // from a backup
    auto report = fsck_check(device);
    EXO_REQUIRE_OK(report);
    REQUIRE(report->problems.size() == 1);
    CHECK(report->problems[0].find("backup at block 1024") != std::string::npos);
    REQUIRE(try_mount(device));  // which restores the primary
    require_sound(device);

    MemoryDevice ruined = fresh_image();
    for (uint64_t block : {uint64_t(0), uint64_t(1024), (32u << 20) / 4096 - uint64_t(1)})
        ruined.poke(block * 4096 + 200, "x", 1);
    CHECK(says(try_mount(ruined), "no backup superblock is intact"));

    MemoryDevice overwritten = fresh_image();
    overwritten.poke(0, std::string(4096, 'z').data(), 4096);
    CHECK(says(try_mount(overwritten), "a backup superblock"));

    MemoryDevice shorter(24u << 20);
    std::string head(24u << 20, '\0');
    fresh_image().peek(0, head.data(), head.size());
    shorter.poke(0, head.data(), head.size());
    CHECK(says(try_mount(shorter), "cut short"));
}

TEST_CASE("unknown feature bits") {
    const QuietLog quiet;
    MemoryDevice device = fresh_image();
    rewrite_superblock(device, [](Superblock& sb) { sb.compat = 1; });
    EXO_REQUIRE_OK(try_mount(device));
    rewrite_superblock(device, [](Superblock& sb) { sb.ro_compat = 4; });
    CHECK(says(try_mount(device), "0x4"));
    EXO_REQUIRE_OK(try_mount(device, true));
    rewrite_superblock(device, [](Superblock& sb) { sb.incompat = 8; });
    CHECK(says(try_mount(device, true), "use a newer exo"));
}

TEST_CASE("an image file: signatures, locking, direct I/O") {
    char path[] = "/tmp/exo_mkfs_test_XXXXXX";
    const int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    REQUIRE(ftruncate(fd, 32 << 20) == 0);
    EXO_REQUIRE_OK(mkfs_safety_check(path, false));
    {
        auto device = open_device(path, {});
        EXO_REQUIRE_OK(device);
        EXO_REQUIRE_OK(mkfs(**device, {}));
        EXO_CHECK_CODE(open_device(path, {}), EBUSY);
        auto volume = Volume::open(std::move(*device), quiet_mount());
        EXO_REQUIRE_OK(volume);
        const Ino ino = make_file(**volume, kRootIno, "f");
        const std::string data(3000000, 'd');
        EXO_REQUIRE_OK((*volume)->write(ino, 777, bytes_of(data)));
        for (uint64_t i = 0; i < 50; i++)  // many extents: several requests at once
            EXO_REQUIRE_OK((*volume)->write(ino, 4000000 + i * 8192, bytes_of("piece")));
        EXO_REQUIRE_OK((*volume)->fsync(ino, false));
        CHECK(read_all(**volume, ino).substr(777, data.size()) == data);
        EXO_REQUIRE_OK((*volume)->close());
    }
    auto checked = open_device(path, {.read_only = true});
    EXO_REQUIRE_OK(checked);
    require_sound(**checked);
    CHECK(says(mkfs_safety_check(path, false), "holds an exo file system"));
    EXO_REQUIRE_OK(mkfs_safety_check(path, true));
    CHECK(says(mkfs_safety_check("/nonexistent", false), "check the device name"));
    unlink(path);
    close(fd);
}
