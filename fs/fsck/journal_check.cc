// SPDX-License-Identifier: MIT
// Pass 2: the journal. Replay is the journal's own; here is what to do when it cannot be.
#include <time.h>

#include <algorithm>
#include <cstring>

#include "fs/format/journal_format.h"
#include "fs/fsck/check.h"
#include "fs/volume/superblock_io.h"

namespace exo::fsck {

namespace {

constexpr size_t kCacheBytes = 4u << 20;  // the image has a cache of its own
constexpr uint64_t kWindow = 256;

Result<uint64_t> tail_sequence(Check& c) {
    MutablePageRef page = allocate_page();
    EXO_TRY(c.device.read(c.sb.journal_start * kBlockBytes, page->bytes, kBlockBytes));
    EXO_TRY(check_block(*page, c.sb.journal_start, BlockType::kJournalSuper, 0,
                        c.sb.header.volume_tag));
    const auto* super = page->as<JournalSuper>();
    if (super->journal_blocks != c.sb.journal_blocks || super->tail_sequence == 0 ||
        super->tail_sequence > UINT64_MAX / 2 || super->tail_position == 0 ||
        super->tail_position >= c.sb.journal_blocks)
        return fail(EUCLEAN, "it makes no sense");
    return uint64_t(super->tail_sequence);
}

// The highest sequence of a commit in the ring that is not older than `first`, or 0. A commit is
// only written when all of its transaction is durable.
Result<uint64_t> newest_commit(Check& c, uint64_t first) {
    uint64_t newest = 0;
    AlignedBuffer window = allocate_aligned(kWindow * kBlockBytes);
    for (uint64_t at = 1; at < c.sb.journal_blocks; at += kWindow) {
        const uint64_t count = std::min<uint64_t>(kWindow, c.sb.journal_blocks - at);
        EXO_TRY(c.device.read((c.sb.journal_start + at) * kBlockBytes, window.get(),
                              count * kBlockBytes));
        for (uint64_t i = 0; i < count; i++) {
            const Page& page = *reinterpret_cast<const Page*>(window.get() + i * kBlockBytes);
            const auto* commit = page.as<JournalCommit>();
            if (commit->header.type != uint16_t(BlockType::kJournalCommit) ||
                commit->sequence < first || commit->sequence >= first + c.sb.journal_blocks ||
                commit->sequence <= newest)
                continue;
            if (check_block(page, c.sb.journal_start + at + i, BlockType::kJournalCommit, 0,
                            c.sb.header.volume_tag))
                newest = commit->sequence;
        }
    }
    return newest;
}

// An empty journal. The header comes last: until then a second run finds the same damage.
Result<> reset(Check& c) {
    AlignedBuffer zeros = allocate_aligned(kWindow * kBlockBytes);
    memset(zeros.get(), 0, kWindow * kBlockBytes);
    for (uint64_t at = 1; at < c.sb.journal_blocks; at += kWindow) {
        const uint64_t count = std::min<uint64_t>(kWindow, c.sb.journal_blocks - at);
        EXO_TRY(c.device.write((c.sb.journal_start + at) * kBlockBytes, zeros.get(),
                               count * kBlockBytes));
    }
    EXO_TRY(c.device.flush());
    MutablePageRef page = allocate_zero_page();
    init_block(*page, c.sb.journal_start, BlockType::kJournalSuper, 0, c.sb.header.volume_tag);
    auto* super = page->as<JournalSuper>();
    super->tail_sequence = uint64_t(time(nullptr));
    super->tail_position = 1;
    super->journal_blocks = c.sb.journal_blocks;
    seal_block(*page);
    return c.device.write(c.sb.journal_start * kBlockBytes, page->bytes, kBlockBytes,
                          IoKind::kWriteThrough);
}

}  // namespace

Result<> check_journal(Check& c) {
    auto open = [&](bool read_only) {
        return Journal::open(c.device, c.sb, {read_only, kCacheBytes});
    };
    auto tail = tail_sequence(c);
    Result<std::unique_ptr<Journal>> journal = fail(EUCLEAN);
    bool agreed = true;
    if (!tail) {
        agreed = c.problems.found(Damage::kJournalSuper,
                                  "the journal's header is damaged (" + describe(tail.error()) +
                                      "): changes that were only in the journal are lost");
    } else {
        journal = open(true);
        Result<uint64_t> newest =
            journal ? newest_commit(c, *tail) : Result<uint64_t>(std::unexpected(journal.error()));
        if (!newest) {
            agreed = c.problems.found(Damage::kJournalContent,
                                      "the journal cannot be read: " + describe(newest.error()));
            journal = fail(EUCLEAN);
        } else if (*newest > (*journal)->durable_sequence()) {
            agreed = c.problems.found(Damage::kJournalContent,
                                      "the journal is damaged: transaction " +
                                          std::to_string((*journal)->durable_sequence() + 1) +
                                          " cannot be replayed although transaction " +
                                          std::to_string(*newest) + " was complete");
        }
    }
    if (!agreed && c.writable)
        return fail(ECANCELED, c.device.name() +
                                   ": repairs are written through the journal: without it, only "
                                   "a check (-n) is possible");
    // Nothing is thrown away where only safe repairs were asked for.
    if (c.options.mode == FsckMode::kSafe && !c.problems.all_safe()) c.writable = false;
    if (c.writable) {
        c.report.journal_replayed = journal && (*journal)->replayed();
        if (!journal) EXO_TRY(reset(c));
        // What could be read a moment ago and is now refused by the device stays for the next run.
        journal = open(false);
        if (!journal) return std::unexpected(journal.error());
    } else if (journal) {
        c.report.journal_replayed = (*journal)->replayed();
    }
    if (journal) c.journal = std::move(*journal);
    c.image->set_journal(c.journal.get());
    return {};
}

}  // namespace exo::fsck
