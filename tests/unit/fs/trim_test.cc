// SPDX-License-Identifier: MIT
// What the device is told to be free: all of what is, nothing that is not, or that a crash could
// bring back.
#include <set>

#include "fs/alloc/free_space.h"
#include "fs/format/inode.h"
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {

std::set<BlockNo> discarded(const FaultyDevice& device, size_t from = 0) {
    std::set<BlockNo> blocks;
    for (size_t i = from; i < device.log().size(); i++) {
        const Recorded& record = device.log()[i];
        if (record.kind != Recorded::kDiscard) continue;
        for (uint64_t at = 0; at < record.length_bytes; at += kBlockBytes)
            CHECK(blocks.insert((record.offset_bytes + at) / kBlockBytes).second);
    }
    return blocks;
}

// By the bitmaps on the device, which are right after an unmount.
std::set<BlockNo> free_blocks(const MemoryDevice& device) {
    std::set<BlockNo> blocks;
    const uint64_t count = device.size_bytes() / kBlockBytes;
    for (uint64_t group = 0; group < group_count(count); group++) {
        MutablePageRef page = allocate_page();
        device.peek(bitmap_place(group) * kBlockBytes, page->bytes, kBlockBytes);
        const uint8_t* bits = page->as<BitmapBlock>()->bits;
        for (uint64_t i = 0; i < kGroupBlocks && group * kGroupBlocks + i < count; i++)
            if (!bit_test(bits, i)) blocks.insert(group * kGroupBlocks + i);
    }
    return blocks;
}

}  // namespace

TEST_CASE("a trim tells of all free blocks and of no other") {
    const QuietLog quiet;
    MemoryDevice image = fresh_image(160u << 20);  // two groups
    FaultyDevice device(image);
    device.start_recording();
    auto v = mount(device);
    std::vector<Ino> files;
    for (int i = 0; i < 40; i++) {
        files.push_back(make_file(*v, kRootIno, "f" + std::to_string(i)));
        EXO_REQUIRE_OK(
            v->write(files.back(), 0, bytes_of(std::string(50000 + 1000 * size_t(i), 'f'))));
    }
    for (int i = 0; i < 40; i += 2) {
        EXO_REQUIRE_OK(v->unlink(kRootIno, "f" + std::to_string(i)));
        v->close_ref(files[size_t(i)]);
    }
    for (const Ino ino : files) v->closed(ino);
    EXO_REQUIRE_OK(v->sync());
    const auto told = v->trim(0);
    EXO_REQUIRE_OK(told);
    const auto blocks = discarded(device);
    CHECK(*told == blocks.size() * kBlockBytes);
    for (int i = 1; i < 40; i += 2)
        CHECK(read_all(*v, files[size_t(i)]) == std::string(50000 + 1000 * size_t(i), 'f'));
    EXO_REQUIRE_OK(v->close());
    require_sound(image);
    const auto free = free_blocks(image);
    size_t used = 0;
    for (const BlockNo block : blocks) used += !free.contains(block);
    CHECK(used == 0);
    // Only metadata freed since the last checkpoint is missing.
    CHECK(blocks.size() + 64 > free.size());
    // After the next mount nothing protects anything.
    const size_t before = device.records();
    v = mount(device);
    EXO_REQUIRE_OK(v->trim(0));
    EXO_REQUIRE_OK(v->close());
    CHECK(discarded(device, before) == free);
}

TEST_CASE("what a crash can bring back is not trimmed before that is durable") {
    const QuietLog quiet;
    MemoryDevice image = fresh_image();
    FaultyDevice device(image);
    device.start_recording();
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file");
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(std::string(400000, 'f'))));
    v->closed(file);
    EXO_REQUIRE_OK(v->sync());
    const auto extents = v->extents_of(file, 0, 10);
    REQUIRE(extents->size() == 1);
    const BlockNo first = extents->front().disk_offset / kBlockBytes;
    EXO_REQUIRE_OK(v->truncate(file, 0));
    EXO_REQUIRE_OK(v->trim(0));
    CHECK(discarded(device).count(first) == 0);
    EXO_REQUIRE_OK(v->sync());
    const size_t before = device.records();
    EXO_REQUIRE_OK(v->trim(0));
    CHECK(discarded(device, before).count(first) == 1);
    EXO_REQUIRE_OK(v->close());
}

TEST_CASE("runs shorter than the minimum are left out; errors of the device are told") {
    const QuietLog quiet;
    MemoryDevice image = fresh_image();
    FaultyDevice device(image);
    auto v = mount(device);
    std::vector<Ino> files;
    for (int i = 0; i < 20; i++) {
        files.push_back(make_file(*v, kRootIno, "f" + std::to_string(i)));
        EXO_REQUIRE_OK(v->write(files.back(), 0, bytes_of(std::string(8192, 'f'))));
        v->closed(files.back());
    }
    for (size_t i = 0; i < 20; i += 2) EXO_REQUIRE_OK(v->truncate(files[i], 0));
    EXO_REQUIRE_OK(v->sync());
    const uint64_t all = *v->trim(0), large = *v->trim(1u << 20);
    CHECK(all - large >= 9 * 8192);
    CHECK(*v->trim(8192) == all);
    CHECK(*v->trim(UINT64_MAX) == 0);
    const uint64_t free = v->statfs().blocks_free;
    device.fail_request(1);
    EXO_CHECK_CODE(v->trim(0), EIO);
    CHECK(v->statfs().blocks_free == free);
    CHECK(*v->trim(0) == all);
    EXO_REQUIRE_OK(v->close());
    require_sound(image);
}
