// SPDX-License-Identifier: MIT
// Volumes without a single free block: the check needs none, and a repair that needs some says so,
// harms nothing, and is done once there is room.
#include <algorithm>

#include "tests/unit/fs/fsck/damage.h"

using namespace exo;
using namespace exo::test;

namespace {

constexpr const char* kFiller = "filler";

FsckReport run(BlockDevice& device, FsckMode mode) {
    FsckOptions options;
    options.mode = mode;
    auto report = fsck_run(device, options);
    EXO_REQUIRE_OK(report);
    return *report;
}

// As full as the file system lets anybody make it; some of its reserve is left. Returns another
// file, which is empty.
Ino fill_up(MemoryDevice& image) {
    auto v = mount(image);
    const Ino filler = make_file(*v, kRootIno, kFiller);
    const Ino rest = make_file(*v, kRootIno, "rest");
    uint64_t at = 0;
    for (uint64_t step = 4096; step > 0;) {
        if (v->fallocate(filler, FallocateMode::kAllocate, at, step * kBlockBytes, false))
            at += step * kBlockBytes;
        else
            step /= 2;
    }
    EXO_REQUIRE_OK(v->close());
    return rest;
}

// Gives the reserve to that file, as no file system would.
void use_reserve(MemoryDevice& image, Ino rest) {
    Surgeon s(image);
    std::vector<std::pair<BlockNo, uint64_t>> runs;
    s.change(bitmap_place(0), [&](Page& page) {
        uint8_t* bits = page.as<BitmapBlock>()->bits;
        for (BlockNo block = 0; block < image.size_bytes() / kBlockBytes; block++) {
            if (bit_test(bits, block)) continue;
            bits[block / 8] = uint8_t(bits[block / 8] | 1u << block % 8);
            if (!runs.empty() && runs.back().first + runs.back().second == block)
                runs.back().second++;
            else
                runs.emplace_back(block, 1);
        }
    });
    uint64_t file_block = 0;
    s.change_record(rest, [&](InodeRecord& record) {
        TreeNodeEditor root(record.data_root, kDataRootBytes);
        for (const auto& [start, count] : runs) {
            ExtentValue value{};
            value.disk_block = start;
            value.length_blocks = uint32_t(count);
            value.flags = kExtentUnwritten;
            REQUIRE(root.has_room(sizeof value));
            root.insert(root.count(), file_block, std::as_bytes(std::span(&value, 1)));
            file_block += count;
        }
        record.blocks = record.blocks + file_block;
    });
    const FsckReport report = run(image, FsckMode::kCheck);
    for (const auto& problem : report.problems) FAIL(problem);
    REQUIRE(report.free_blocks == 0);
}

}  // namespace

TEST_CASE("a volume that is full is repaired with what the file system keeps back") {
    const QuietLog quiet;
    MemoryDevice full(sample().image);
    fill_up(full);
    CHECK(run(full, FsckMode::kCheck).free_blocks >= 16);
    for (const DamageCase& test : damage_cases()) {
        CAPTURE(test.name);
        MemoryDevice image(full);
        test.seed(image);
        const FsckReport repaired = run(image, FsckMode::kRepair);
        if (repaired.repaired != repaired.found)
            for (const auto& problem : repaired.problems) MESSAGE(problem);
        CHECK(repaired.repaired == repaired.found);
        require_sound(image);
    }
}

TEST_CASE("without a single free block a repair says what it needs, and another one mends it") {
    const QuietLog quiet;
    MemoryDevice full(sample().image);
    use_reserve(full, fill_up(full));
    size_t mended = 0, postponed = 0;
    for (const DamageCase& test : damage_cases()) {
        CAPTURE(test.name);
        MemoryDevice image(full);
        test.seed(image);
        if (run(image, FsckMode::kCheck).found == 0)
            continue;  // nothing is marked free to begin with
        const FsckReport first = run(image, FsckMode::kRepair);
        if (first.repaired == first.found) {
            mended++;
            require_sound(image);
            continue;
        }
        postponed++;
        CHECK_MESSAGE(std::ranges::any_of(first.problems,
                                          [](const std::string& text) {
                                              return text.find("no block is free") != text.npos;
                                          }),
                      test.name);
        // As the message says: something is removed. Where the volume cannot even be mounted for
        // that, the first repair has made room by what it gave up.
        if (auto v = Volume::open(std::make_unique<BorrowedDevice>(image), quiet_mount())) {
            (void)(*v)->unlink(kRootIno, kFiller);
            EXO_REQUIRE_OK((*v)->close());
        }
        FsckReport again;
        for (int i = 0; i < 3; i++) again = run(image, FsckMode::kRepair);
        CHECK_MESSAGE(again.repaired == again.found, test.name);
        require_sound(image);
    }
    MESSAGE(mended << " repairs did without room, " << postponed << " needed some");
    CHECK(mended > 20);
}
