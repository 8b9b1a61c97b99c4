// SPDX-License-Identifier: MIT
// Damaged and hostile images: every class of damage is found by the check, and nothing that a disk
// can hold makes mount, use or check misbehave. EXO_TEST_SEED and EXO_TEST_ROUNDS change the run.
#include <cstdlib>
#include <functional>
#include <random>

#include "fs/format/inode.h"
#include "fs/format/journal_format.h"
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {

// A volume with something of everything.
MemoryDevice rich_image(bool clean) {
    MemoryDevice device = fresh_image(16u << 20);
    auto v = mount(device);
    auto dir = v->mkdir(kRootIno, "dir", 0755, 0, 0);
    for (int i = 0; i < 150; i++)
        v->close_ref(make_file(*v, dir->ino, "entry" + std::to_string(i) + std::string(40, 'e')));
    const Ino file = make_file(*v, kRootIno, "fragmented");
    for (uint64_t i = 0; i < 60; i++) EXO_REQUIRE_OK(v->write(file, i * 8192, bytes_of("piece")));
    const Ino pinned = make_file(*v, kRootIno, "pinned");
    EXO_REQUIRE_OK(v->write(pinned, 0, bytes_of("data")));
    EXO_REQUIRE_OK(v->set_pinned(pinned, true));
    EXO_REQUIRE_OK(v->symlink(kRootIno, "link", std::string(2000, 's'), 0, 0));
    EXO_REQUIRE_OK(v->create_unnamed(kRootIno, 0600, 0, 0));
    if (clean) {
        EXO_REQUIRE_OK(v->close());
        return device;
    }
    EXO_REQUIRE_OK(v->sync());
    MemoryDevice crashed(device);
    EXO_REQUIRE_OK(v->close());
    return crashed;
}

// Reads everything and changes a little; errors are fine.
void use(Volume& v, Ino dir, int depth) {
    auto entries = v.readdir_plus(dir, 0, 400);
    if (!entries) return;
    for (const auto& entry : *entries) {
        if (entry.name == "." || entry.name == "..") continue;
        (void)v.lookup(dir, entry.name);
        (void)v.readlink(entry.ino);
        (void)v.extents_of(entry.ino, 0, 1000);
        std::vector<std::byte> buffer(10000);
        (void)v.read(entry.ino, 3000, buffer);
        if (S_ISDIR(entry.attr.mode) && depth < 4) use(v, entry.ino, depth + 1);
        (void)v.write(entry.ino, 8192, buffer);
        (void)v.truncate(entry.ino, 5000);
        (void)v.unlink(dir, entry.name);
        v.close_ref(entry.ino, 2);
    }
    (void)v.create(dir, "fresh", S_IFREG | 0644, 0, 0);
    (void)v.sync();
}

void reseal(MemoryDevice& device, BlockNo block, const std::function<void(Page&)>& change) {
    MutablePageRef page = allocate_page();
    device.peek(block * kBlockBytes, page->bytes, kBlockBytes);
    change(*page);
    seal_block(*page);
    device.poke(block * kBlockBytes, page->bytes, kBlockBytes);
}

std::vector<BlockNo> metadata_blocks(const MemoryDevice& device) {
    std::vector<BlockNo> found;
    MutablePageRef page = allocate_page();
    for (BlockNo block = 0; block < device.size_bytes() / kBlockBytes; block++) {
        device.peek(block * kBlockBytes, page->bytes, kBlockBytes);
        const auto* header = page->as<BlockHeader>();
        if (header->magic == kBlockMagic && header->address == block) found.push_back(block);
    }
    return found;
}

bool finds(MemoryDevice& device, const char* words) {
    auto report = fsck_check(device);
    EXO_REQUIRE_OK(report);
    for (const auto& problem : report->problems)
        if (problem.find(words) != std::string::npos) return true;
    for (const auto& problem : report->problems) MESSAGE("found instead: " << problem);
    return false;
}

// The inode block and record of an inode of a fresh volume: the inode file starts at block 3.
BlockNo inode_block(Ino ino) {
    return 3 + inode_block_index(ino);
}

}  // namespace

TEST_CASE("each class of damage is found") {
    const QuietLog quiet;
    const MemoryDevice good = rich_image(true);
    {
        MemoryDevice same(good);
        require_sound(same);
    }
    auto damaged_record = [&](const std::function<void(InodeRecord&)>& change, Ino ino) {
        MemoryDevice image(good);
        reseal(image, inode_block(ino),
               [&](Page& page) { change(page.as<InodeBlock>()->records[inode_slot(ino)]); });
        return image;
    };
    MemoryDevice image = damaged_record([](InodeRecord& r) { r.nlink = 9; }, kRootIno);
    CHECK(finds(image, "links but its record says 9"));
    image.become(damaged_record([](InodeRecord& r) { r.size = 77; }, kRootIno));
    CHECK(finds(image, "entries but its record says 77"));
    image.become(damaged_record([](InodeRecord& r) { r.blocks = 555; }, 8));
    CHECK(finds(image, "blocks but its record says 555"));
    image.become(damaged_record([](InodeRecord& r) { r.parent = 9; }, 8));
    CHECK(finds(image, "does not point back"));
    image.become(damaged_record([](InodeRecord& r) { r.flags = kInodePinned; }, 9));
    CHECK(finds(image, "flagged but not in the pin list"));
    image.become(damaged_record([](InodeRecord& r) { r.flags = kInodeOrphan; }, 9));
    CHECK(finds(image, "flagged but not in the orphan list"));
    image.become(damaged_record([](InodeRecord& r) { r.mode = 0; }, 9));
    CHECK(finds(image, "free but marked in use"));
    CHECK(finds(image, "which is not in use"));
    image.become(damaged_record([](InodeRecord& r) { r.mode = S_IFDIR | 0755; }, 9));
    CHECK(finds(image, "another type"));
    image.become(damaged_record([](InodeRecord& r) { r.mode = 0xffff; }, 9));
    CHECK(finds(image, "malformed inode record"));

    image.become(good);
    reseal(image, 1, [](Page& page) { bits_fill(page.as<BitmapBlock>()->bits, 3000, 2, true); });
    CHECK(finds(image, "marked used but nothing uses them"));
    image.become(good);
    reseal(image, 1, [](Page& page) { bits_fill(page.as<BitmapBlock>()->bits, 3, 1, false); });
    CHECK(finds(image, "in use but marked free"));
    image.become(good);
    reseal(image, 3, [](Page& page) { bits_fill(page.as<BitmapBlock>()->bits, 9, 1, false); });
    CHECK(finds(image, "in use but marked free"));

    // Every metadata block outside of the journal: a flipped bit is noticed.
    for (BlockNo block : metadata_blocks(good)) {
        if (block == 2 || (block > 1024 && block < 1025 + 256)) continue;
        INFO("block " << block);
        image.become(good);
        char byte;
        image.peek(block * kBlockBytes + 700, &byte, 1);
        byte ^= 4;
        image.poke(block * kBlockBytes + 700, &byte, 1);
        auto report = fsck_check(image);
        CHECK((!report || !report->problems.empty()));
        // A block that was written to the wrong place passes its checksum, but not as that place's.
        std::string content(kBlockBytes, '\0');
        image.become(good);
        image.peek((block == 3 ? 4 : 3) * kBlockBytes, content.data(), content.size());
        image.poke(block * kBlockBytes, content.data(), content.size());
        report = fsck_check(image);
        CHECK((!report || !report->problems.empty()));
    }
}

TEST_CASE("hostile images: nothing that a disk holds makes the file system misbehave") {
    const QuietLog quiet;
    const char* seed_text = getenv("EXO_TEST_SEED");
    const char* rounds_text = getenv("EXO_TEST_ROUNDS");
    const uint64_t seed = seed_text ? strtoull(seed_text, nullptr, 0) : 99;
    const int rounds = rounds_text ? atoi(rounds_text) : 400;
    INFO("EXO_TEST_SEED=" << seed);
    std::mt19937_64 random(seed);
    const MemoryDevice images[2] = {rich_image(true), rich_image(false)};
    const std::vector<BlockNo> blocks[2] = {metadata_blocks(images[0]), metadata_blocks(images[1])};
    int mounted = 0;
    for (int round = 0; round < rounds; round++) {
        const unsigned which = unsigned(random() % 2);
        MemoryDevice image(images[which]);
        for (uint64_t hits = 1 + random() % 4; hits > 0; hits--) {
            const BlockNo block = blocks[which][random() % blocks[which].size()];
            // With a right checksum, as an attacker would have it.
            reseal(image, block, [&](Page& page) {
                for (uint64_t n = 1 + random() % 6; n > 0; n--) {
                    const size_t at = 32 + (random() % 2 ? random() % 600 : random() % 4060);
                    const uint8_t values[] = {0, 1, 0xff, 0x7f, 0x80, uint8_t(random())};
                    page.bytes[at] = std::byte(values[random() % 6]);
                }
            });
        }
        (void)fsck_check(image);
        auto volume = Volume::open(std::make_unique<BorrowedDevice>(image), quiet_mount());
        if (!volume) continue;
        mounted++;
        use(**volume, kRootIno, 0);
        for (const auto& pinned : (*volume)->pinned_inodes().value_or(std::vector<PinnedInode>()))
            (void)(*volume)->clear_pinned(pinned.ino);
        (void)(*volume)->close();
    }
    MESSAGE(rounds << " hostile images, " << mounted << " of them could be mounted");
    CHECK(mounted > rounds / 4);
}

TEST_CASE("an I/O error at any request reaches the caller and loses nothing that was synced") {
    const QuietLog quiet;
    uint64_t requests = 0;
    bool finished = false;
    uint64_t silent = 0, tried = 0;
    for (uint64_t n = 1; !finished; n += 1 + n / 64) {
        INFO("request " << n << " fails");
        MemoryDevice base = fresh_image(16u << 20);
        FaultyDevice device(base);
        Ino safe;
        {
            auto v = mount(device);
            safe = make_file(*v, kRootIno, "safe");
            EXO_REQUIRE_OK(v->write(safe, 0, bytes_of("synced before")));
            EXO_REQUIRE_OK(v->close());
        }
        MountOptions options = quiet_mount();
        options.cache_bytes = 0;  // so that metadata is read again and again
        auto v = mount(device, options);
        device.fail_request(n);
        bool seen_error = false;
        auto note = [&](bool good) { seen_error = seen_error || !good; };
        for (int i = 0; i < 30; i++) {
            auto attr = v->create(kRootIno, "f" + std::to_string(i), S_IFREG | 0644, 0, 0);
            note(bool(attr));
            if (!attr) continue;
            note(bool(v->write(attr->ino, 0, bytes_of(std::string(9000, 'd')))));
            if (i % 5 == 0) note(bool(v->fsync(attr->ino, false)));
            if (i % 3 == 0) note(bool(v->unlink(kRootIno, "f" + std::to_string(i))));
            v->close_ref(attr->ino);
        }
        note(bool(v->sync()));
        note(bool(v->close()));
        finished = device.failing();  // the workload makes fewer requests than that
        v.reset();
        device.stop_failing();
        if (finished) {
            requests = n;
            break;
        }
        // Only the release of an unlinked file may fail in silence: it stays listed for the next
        // mount.
        if (!seen_error) silent++;
        tried++;
        auto report = fsck_check(base);
        EXO_REQUIRE_OK(report);
        for (const auto& problem : report->problems) FAIL_CHECK(problem);
        auto w = mount(base);
        CHECK(read_all(*w, safe) == "synced before");
        EXO_REQUIRE_OK(w->close());
        require_sound(base);
    }
    MESSAGE("requests of the workload: about " << requests << ", errors tried: " << tried);
    CHECK(silent * 4 < tried);
}
