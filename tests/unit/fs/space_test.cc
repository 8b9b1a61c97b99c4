// SPDX-License-Identifier: MIT
// Running out of space and of a working device, in the middle of operations of several steps.
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

TEST_CASE("fallocate that has to wait for freed blocks fills every hole") {
    MemoryDevice device = fresh_image(16u << 20);
    auto v = mount(device);
    const Ino target = make_file(*v, kRootIno, "target"), old = make_file(*v, kRootIno, "old"),
              filler = make_file(*v, kRootIno, "filler");
    EXO_REQUIRE_OK(v->write(target, 5 * 4096, bytes_of(std::string(4096, 't'))));
    EXO_REQUIRE_OK(v->fallocate(old, FallocateMode::kAllocate, 0, 60 * 4096, false));
    const uint64_t available = v->statfs().blocks_available;
    EXO_REQUIRE_OK(
        v->fallocate(filler, FallocateMode::kAllocate, 0, (available - 8) * 4096, false));
    EXO_REQUIRE_OK(v->sync());
    EXO_REQUIRE_OK(v->truncate(old, 0));  // free, but not before a commit
    EXO_REQUIRE_OK(v->fallocate(target, FallocateMode::kAllocate, 0, 40 * 4096, false));
    const auto extents = v->extents_of(target, 0, 100);
    EXO_REQUIRE_OK(extents);
    uint64_t next = 0;
    for (const FileExtent& extent : *extents) {
        CHECK(extent.file_offset == next);
        next = extent.file_offset + extent.length;
    }
    CHECK(next == 40 * 4096);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("zeroing a range keeps its blocks where they are, and needs no space") {
    MemoryDevice device = fresh_image(16u << 20);
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file"), filler = make_file(*v, kRootIno, "filler");
    std::string model(40 * 4096, 'd');
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(model)));
    const auto before = v->extents_of(file, 0, 100);
    REQUIRE(before->size() == 1);
    EXO_REQUIRE_OK(v->fallocate(filler, FallocateMode::kAllocate, 0,
                                v->statfs().blocks_available * 4096, false));
    auto zero = [&](uint64_t offset, uint64_t length) {
        EXO_REQUIRE_OK(v->fallocate(file, FallocateMode::kZeroRange, offset, length, true));
        model.replace(offset, length, std::string(length, '\0'));
        CHECK(read_all(*v, file) == model);
    };
    zero(5000, 9 * 4096);
    zero(20 * 4096, 4096);
    zero(0, 4096);
    const auto after = v->extents_of(file, 0, 100);
    EXO_REQUIRE_OK(after);
    REQUIRE(after->size() == 6);
    for (const FileExtent& extent : *after) {
        CHECK(extent.disk_offset - extent.file_offset == (*before)[0].disk_offset);
        const bool data = model[extent.file_offset] == 'd' ||
                          model[extent.file_offset + extent.length - 1] == 'd';
        CHECK(extent.unwritten == !data);
    }
    // What is written again is data again, where it was.
    EXO_REQUIRE_OK(v->write(file, 6 * 4096 + 10, bytes_of("again")));
    model.replace(6 * 4096 + 10, 5, "again");
    CHECK(read_all(*v, file) == model);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("a failed flush makes the volume read-only, and says so to who synced") {
    const QuietLog quiet;
    MemoryDevice base = fresh_image();
    FaultyDevice device(base);
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file");
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(std::string(4096, 'a'))));
    EXO_REQUIRE_OK(v->fsync(file, false));
    // An overwrite in place: nothing but the flush stands between it and the disk.
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(std::string(4096, 'b'))));
    EXO_REQUIRE_OK(v->sync());
    device.fail_request(1);
    EXO_CHECK_CODE(v->fsync(file, true), EIO);
    EXO_CHECK_CODE(v->fsync(file, true), EIO);  // it may not look good later
    EXO_CHECK_CODE(v->create(kRootIno, "new", S_IFREG | 0644, 0, 0), EROFS);
    // Not even in place, by whole blocks or parts.
    EXO_CHECK_CODE(v->write(file, 0, bytes_of(std::string(4096, 'c'))), EROFS);
    EXO_CHECK_CODE(v->write(file, 10, bytes_of("c")), EROFS);
    CHECK(read_all(*v, file) == std::string(4096, 'b'));
    CHECK(read_all(*v, file).size() == 4096);
    (void)v->close();
}

TEST_CASE("blocks in place are overwritten with their times, and partial blocks as before") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file");
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(std::string(10000, 'a'))));
    SetAttr old;
    old.mtime = timespec{1000, 0};
    EXO_REQUIRE_OK(v->setattr(file, old));
    EXO_REQUIRE_OK(v->write(file, 4096, bytes_of(std::string(4096, 'b'))));
    CHECK(v->getattr(file)->mtime.tv_sec > 1000);
    EXO_REQUIRE_OK(v->write(file, 8192, bytes_of(std::string(4096, 'c'))));  // grows
    EXO_REQUIRE_OK(v->write(file, 100, bytes_of("ddd")));
    std::string expected = std::string(4096, 'a') + std::string(4096, 'b') + std::string(4096, 'c');
    expected.replace(100, 3, "ddd");
    CHECK(read_all(*v, file) == expected);
    EXO_REQUIRE_OK(v->fallocate(file, FallocateMode::kZeroRange, 0, 4096, true));
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(std::string(8192, 'e'))));  // unwritten and written
    expected.replace(0, 8192, std::string(8192, 'e'));
    CHECK(read_all(*v, file) == expected);
    EXO_REQUIRE_OK(v->set_pinned(file, false));
    EXO_CHECK_CODE(v->write(file, 0, bytes_of(std::string(4096, 'x'))), EPERM);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}
