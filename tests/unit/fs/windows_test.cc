// SPDX-License-Identifier: MIT
// Space set aside behind growing files: contiguous files, and nothing leaked or withheld.
#include "fs/alloc/windows.h"

#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

TEST_CASE("files that grow side by side stay in few pieces") {
    MemoryDevice device = fresh_image(256u << 20);
    auto v = mount(device);
    constexpr int kFiles = 8;
    constexpr uint64_t kPiece = 65536, kPieces = 128;  // 8 MiB each
    std::vector<Ino> files;
    for (int i = 0; i < kFiles; i++)
        files.push_back(make_file(*v, kRootIno, "f" + std::to_string(i)));
    const std::string piece(kPiece, 'p');
    for (uint64_t n = 0; n < kPieces; n++)
        for (const Ino file : files) EXO_REQUIRE_OK(v->write(file, n * kPiece, bytes_of(piece)));
    for (const Ino file : files) CHECK(v->extent_count(file) <= 16);
    const uint64_t used = v->statfs().blocks - v->statfs().blocks_free;
    for (const Ino file : files) v->closed(file);
    CHECK(v->statfs().blocks - v->statfs().blocks_free == used);  // set aside is free, not used
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("slow appends of small pieces stay together, too") {
    MemoryDevice device = fresh_image(64u << 20);
    auto v = mount(device);
    const Ino a = make_file(*v, kRootIno, "a"), b = make_file(*v, kRootIno, "b");
    for (uint64_t n = 0; n < 256; n++) {
        EXO_REQUIRE_OK(v->write(a, n * 4096, bytes_of(std::string(4096, 'a'))));
        EXO_REQUIRE_OK(v->write(b, n * 4096, bytes_of(std::string(4096, 'b'))));
        EXO_REQUIRE_OK(v->fsync(a, true));
    }
    CHECK(v->extent_count(a) <= 10);
    CHECK(v->extent_count(b) <= 10);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("what was set aside is there for those who need it") {
    MemoryDevice device = fresh_image(16u << 20);
    auto v = mount(device);
    std::vector<Ino> files;
    for (int i = 0; i < 16; i++) {
        files.push_back(make_file(*v, kRootIno, "f" + std::to_string(i)));
        EXO_REQUIRE_OK(v->write(files.back(), 0, bytes_of(std::string(65536, 'w'))));
    }
    const uint64_t available = v->statfs().blocks_available;
    const Ino big = make_file(*v, kRootIno, "big");
    EXO_REQUIRE_OK(v->fallocate(big, FallocateMode::kAllocate, 0, (available - 8) * 4096, false));
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("free space that does not fit into memory is counted, and found when it is needed") {
    MemoryDevice device = fresh_image(512u << 20);  // five groups
    Superblock superblock;
    device.peek(0, &superblock, sizeof superblock);
    auto journal = Journal::open(device, superblock, {});
    EXO_REQUIRE_OK(journal);
    uint64_t all = 0;
    {
        auto allocator = Allocator::open(device, **journal, superblock, false);
        EXO_REQUIRE_OK(allocator);
        all = (*allocator)->free_blocks();
    }
    auto opened = Allocator::open(device, **journal, superblock, false, 2);
    EXO_REQUIRE_OK(opened);
    Allocator& allocator = **opened;
    CHECK(allocator.free_blocks() == all);
    const auto take = [&](uint64_t blocks, uint64_t& taken) {
        auto handle = (*journal)->begin();
        EXO_REQUIRE_OK(handle);
        auto room = allocator.reserve(blocks, 0, Purpose::kData);
        if (!room) return false;
        auto run = allocator.allocate(*handle, std::move(*room));
        EXO_REQUIRE_OK(run);
        taken += run->count;
        handle->commit();
        return true;
    };
    uint64_t taken = 0;
    while (take(kGroupBlocks, taken)) continue;
    CHECK(taken < 2 * kGroupBlocks);
    // A block freed where nothing is in memory is not used before its transaction is durable.
    const BlockNo freed = 4 * kGroupBlocks + 100;
    {
        auto handle = (*journal)->begin();
        EXO_REQUIRE_OK(handle);
        EXO_REQUIRE_OK(allocator.mark_used(*handle, {freed, 10}));
        EXO_REQUIRE_OK(allocator.free(*handle, {freed, 10}, false));
        handle->commit();
    }
    int groups = 0;
    while (*allocator.load_more()) groups++;
    CHECK(groups == 3);  // all but the one with the freed blocks
    EXO_REQUIRE_OK((*journal)->checkpoint());
    CHECK(*allocator.load_more());
    CHECK_FALSE(*allocator.load_more());
    while (take(kGroupBlocks, taken)) continue;
    CHECK(taken + allocator.reserve_blocks() == all);
    CHECK(allocator.free_blocks() == allocator.reserve_blocks());
}

TEST_CASE("a window serves its file at the goal only, and the oldest goes first") {
    MemoryDevice device = fresh_image(64u << 20);
    Superblock superblock;
    device.peek(0, &superblock, sizeof superblock);
    auto journal = Journal::open(device, superblock, {});
    EXO_REQUIRE_OK(journal);
    auto allocator = Allocator::open(device, **journal, superblock, false);
    EXO_REQUIRE_OK(allocator);
    Windows& windows = (*allocator)->windows();
    const uint64_t free = (*allocator)->free_blocks();
    auto room = (*allocator)->reserve(100, 5000, Purpose::kData);
    EXO_REQUIRE_OK(room);
    REQUIRE(room->count() == 100);
    windows.keep(9, std::move(*room));
    CHECK(windows.blocks() == 100);
    CHECK((*allocator)->free_blocks() == free);
    CHECK(windows.take(8, 5000, 10).count() == 0);  // not this file's
    {
        const Reservation front = windows.take(9, 5000, 10);
        CHECK(front.start() == 5000);
        CHECK(front.count() == 10);
        CHECK(windows.blocks() == 90);
    }
    CHECK(windows.take(9, 7000, 10).count() == 0);  // the file went elsewhere
    CHECK(windows.blocks() == 0);
    for (Ino ino = 100; ino < 100 + Windows::kMaxWindows + 5; ino++) {
        auto one = (*allocator)->reserve(2, 0, Purpose::kData);
        EXO_REQUIRE_OK(one);
        windows.keep(ino, std::move(*one));
    }
    CHECK(windows.blocks() == 2 * Windows::kMaxWindows);
    windows.drop_idle(Windows::Clock::now());
    CHECK(windows.blocks() == 2 * Windows::kMaxWindows);
    windows.drop_idle(Windows::Clock::now() + Windows::kIdle * 2);
    CHECK(windows.blocks() == 0);
    CHECK((*allocator)->free_blocks() == free);
    CHECK(Windows::size_for(0, 1) == 0);
    CHECK(Windows::size_for(1, 1) == Windows::kMinBlocks);
    CHECK(Windows::size_for(1u << 20, 1) == Windows::kMaxBlocks);
}
