// SPDX-License-Identifier: MIT
// Lays out an empty volume. The primary superblock comes last, so that an interrupted run leaves
// nothing that looks like a file system.
#include "fs/mkfs/mkfs.h"

#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "fs/format/inode.h"
#include "fs/format/journal_format.h"
#include "fs/volume/superblock_io.h"

namespace exo {

namespace {
constexpr BlockNo kInodeFileStart = kSystemPlace + 1;
constexpr uint64_t kInodeFileBlocks = 16;
constexpr uint64_t kInitialisedInodeBlocks = 2;  // a bitmap and eight records
constexpr BlockNo kJournalStart = 1025;          // after the first backup superblock
constexpr uint64_t kLargestJournal = kGroupBlocks - kJournalStart - kMinLastGroupBlocks;
constexpr uint64_t kDefaultJournalBlocks = 28672;  // 112 MiB: two of the largest transactions
constexpr uint64_t kWipedStartBlocks = 256, kWipedEndBlocks = 16;

struct Layout {
    uint64_t size, journal_blocks;
    std::vector<BlockRun> used;
};

Result<Layout> plan(const BlockDevice& device, const MkfsOptions& options) {
    if (options.size_bytes > device.size_bytes())
        return fail(EINVAL, device.name() + ": the size asked for (" +
                                std::to_string(options.size_bytes) +
                                " bytes) is larger than the device (" +
                                std::to_string(device.size_bytes()) + ")");
    const uint64_t bytes = options.size_bytes ? options.size_bytes : device.size_bytes();
    if (bytes < kMinVolumeBytes)
        return fail(ENOSPC, device.name() + ": " + std::to_string(bytes) +
                                " bytes are too small for an exo file system; it needs at least " +
                                std::to_string(kMinVolumeBytes) + " (16 MiB)");
    Layout layout;
    layout.size = std::min(bytes / kBlockBytes, kMaxVolumeBlocks);
    // A last group so short that its bitmap would hardly pay is left out.
    if (const uint64_t rest = layout.size % kGroupBlocks; rest > 0 && rest < kMinLastGroupBlocks)
        layout.size -= rest;
    layout.journal_blocks = options.journal_bytes ? options.journal_bytes / kBlockBytes
                                                  : std::clamp(layout.size / 64, kMinJournalBlocks,
                                                               kDefaultJournalBlocks);
    if (layout.journal_blocks < kMinJournalBlocks ||
        layout.journal_blocks > std::min(kLargestJournal, layout.size / 2))
        return fail(EINVAL,
                    device.name() + ": a journal of " + std::to_string(options.journal_bytes) +
                        " bytes does not fit; choose between 1 MiB and " +
                        std::to_string(std::min(kLargestJournal, layout.size / 2) / 256) + " MiB");
    layout.used = {
        {0, 3}, {kInodeFileStart, kInodeFileBlocks}, {kJournalStart, layout.journal_blocks}};
    for (BlockNo place : backup_places(layout.size)) layout.used.push_back({place, 1});
    for (uint64_t group = 1; group < group_count(layout.size); group++)
        layout.used.push_back({bitmap_place(group), 1});
    return layout;
}

Superblock make_superblock(const Layout& layout, const MkfsOptions& options) {
    Superblock sb;
    memset(static_cast<void*>(&sb), 0, sizeof sb);
    memcpy(sb.magic, kSuperblockMagic, sizeof sb.magic);
    sb.version = kFormatVersion;
    sb.block_bytes = kBlockBytes;
    if (options.uuid) {
        memcpy(sb.uuid, options.uuid->data(), sizeof sb.uuid);
    } else {
        (void)!getrandom(sb.uuid, sizeof sb.uuid, 0);
        sb.uuid[6] = uint8_t((sb.uuid[6] & 0x0f) | 0x40);  // version 4, as RFC 9562 says
        sb.uuid[8] = uint8_t((sb.uuid[8] & 0x3f) | 0x80);
    }
    memcpy(sb.label, options.label.data(), options.label.size());
    sb.size_blocks = layout.size;
    sb.journal_start = kJournalStart;
    sb.journal_blocks = layout.journal_blocks;
    sb.system_block = kSystemPlace;
    sb.group_blocks = kGroupBlocks;
    sb.inode_bytes = sizeof(InodeRecord);
    (void)!getrandom(sb.hash_key, sizeof sb.hash_key, 0);
    sb.created_s = int64_t(time(nullptr));
    sb.state = kStateClean;
    return sb;
}

void init_record(InodeRecord& record, uint32_t mode, uint32_t nlink) {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    record.mode = mode;
    record.nlink = nlink;
    record.generation = 1;
    record.atime_s = record.mtime_s = record.ctime_s = record.btime_s = now.tv_sec;
    record.atime_ns = record.mtime_ns = record.ctime_ns = record.btime_ns = uint32_t(now.tv_nsec);
}

class Writer {
  public:
    Writer(BlockDevice& device, uint32_t tag) : device_(device), tag_(tag) {}
    Page& fresh(BlockNo address, BlockType type) {
        page_ = allocate_zero_page();
        init_block(*page_, address, type, 0, tag_);
        return *page_;
    }
    Result<> put() {
        seal_block(*page_);
        return device_.write(page_->as<BlockHeader>()->address * kBlockBytes, page_->bytes,
                             kBlockBytes);
    }

  private:
    BlockDevice& device_;
    uint32_t tag_;
    MutablePageRef page_;
};

Result<> wipe(BlockDevice& device, BlockNo start, uint64_t count) {
    AlignedBuffer zeros = allocate_aligned(count * kBlockBytes);
    memset(zeros.get(), 0, count * kBlockBytes);
    return device.write(start * kBlockBytes, zeros.get(), count * kBlockBytes);
}

}  // namespace

Result<MkfsSummary> mkfs(BlockDevice& device, const MkfsOptions& options) {
    if (options.label.size() > sizeof(Superblock::label) - 1)
        return fail(EINVAL, "the label is longer than 31 bytes");
    EXO_TRY_ASSIGN(const Layout layout, plan(device, options));
    const Superblock sb = make_superblock(layout, options);
    Writer writer(device, volume_tag_of(sb.uuid));

    if (options.discard) (void)device.discard(0, layout.size * kBlockBytes);
    // Traces of what was there before would confuse tools that look for signatures.
    EXO_TRY(wipe(device, 0, kWipedStartBlocks));
    EXO_TRY(wipe(device, layout.size - kWipedEndBlocks, kWipedEndBlocks));
    EXO_TRY(wipe(device, kJournalStart, 2));

    uint64_t free_blocks = 0;
    for (uint64_t group = 0; group < group_count(layout.size); group++) {
        auto* bitmap = writer.fresh(bitmap_place(group), BlockType::kBitmap).as<BitmapBlock>();
        const uint64_t base = group * kGroupBlocks, end = base + kGroupBlocks;
        if (end > layout.size) bits_fill(bitmap->bits, layout.size - base, end - layout.size, true);
        for (const BlockRun& run : layout.used)
            if (group_of(run.start) == group)
                bits_fill(bitmap->bits, run.start - base, run.count, true);
        for (uint64_t i = 0; i < kGroupBlocks; i++) free_blocks += !bit_test(bitmap->bits, i);
        EXO_TRY(writer.put());
    }

    auto* system = writer.fresh(kSystemPlace, BlockType::kSystem).as<InodeBlock>();
    for (unsigned i = 0; i < kSystemInodes; i++) init_record(system->records[i], S_IFREG | 0600, 1);
    InodeRecord& inode_file = system->records[kInodeFileIno - kSystemInoBase];
    inode_file.size = kInitialisedInodeBlocks;
    inode_file.blocks = kInodeFileBlocks;
    ExtentValue extent;
    extent.disk_block = kInodeFileStart;
    extent.length_blocks = uint32_t(kInodeFileBlocks);
    extent.flags = 0;
    TreeNodeEditor(inode_file.data_root, kDataRootBytes)
        .insert(0, 0, std::as_bytes(std::span(&extent, 1)));
    EXO_TRY(writer.put());

    auto* inode_bitmap = writer.fresh(kInodeFileStart, BlockType::kInodeBitmap).as<BitmapBlock>();
    bits_fill(inode_bitmap->bits, 0, kFirstFreeIno, true);
    EXO_TRY(writer.put());
    auto* inodes = writer.fresh(kInodeFileStart + 1, BlockType::kInodes).as<InodeBlock>();
    InodeRecord& root = inodes->records[1];
    init_record(root, S_IFDIR | (options.root_mode & 07777), 2);
    root.uid = options.root_uid;
    root.gid = options.root_gid;
    root.parent = 1;
    EXO_TRY(writer.put());

    auto* super = writer.fresh(kJournalStart, BlockType::kJournalSuper).as<JournalSuper>();
    // Not 1: with a UUID given twice, an old log must not look like a part of the new one.
    uint32_t first_sequence = 1;
    (void)!getrandom(&first_sequence, sizeof first_sequence, 0);
    super->tail_sequence = uint64_t(first_sequence) + 1;
    super->tail_position = 1;
    super->journal_blocks = layout.journal_blocks;
    EXO_TRY(writer.put());

    for (BlockNo place : backup_places(layout.size)) EXO_TRY(store_superblock(device, sb, place));
    EXO_TRY(device.flush());
    EXO_TRY(store_superblock(device, sb, kSuperblockPlace));
    EXO_TRY(device.flush());

    MkfsSummary summary;
    memcpy(summary.uuid.data(), sb.uuid, sizeof sb.uuid);
    summary.size_blocks = layout.size;
    summary.free_blocks = free_blocks;
    summary.journal_blocks = layout.journal_blocks;
    summary.groups = uint32_t(group_count(layout.size));
    return summary;
}

}  // namespace exo
