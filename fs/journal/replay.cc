// SPDX-License-Identifier: MIT
// Replay: reads whole transactions from the log's tail on and stops at the first that is not
// complete and unharmed. What a crash left half-written there was never acknowledged.
#include <algorithm>
#include <unordered_map>

#include "fs/base/crc32c.h"
#include "fs/base/log.h"
#include "fs/format/journal_format.h"
#include "fs/journal/journal.h"

namespace exo {

namespace {

// Reads ring blocks in order through a window, since a log is read once and from front to back.
class RingReader {
  public:
    RingReader(BlockDevice& device, BlockNo journal_start, uint64_t journal_blocks)
        : device_(device),
          start_(journal_start),
          blocks_(journal_blocks),
          window_(allocate_aligned(kWindowBlocks * kBlockBytes)) {}

    Result<const Page*> at(uint64_t position) {
        if (position < first_ || position >= first_ + count_) {
            first_ = position;
            count_ = 0;
            const uint64_t count = std::min<uint64_t>(kWindowBlocks, blocks_ - position);
            EXO_TRY(device_.read((start_ + position) * kBlockBytes, window_.get(),
                                 count * kBlockBytes));
            count_ = count;
        }
        return reinterpret_cast<const Page*>(window_.get() + (position - first_) * kBlockBytes);
    }

  private:
    static constexpr uint64_t kWindowBlocks = 256;
    BlockDevice& device_;
    BlockNo start_;
    uint64_t blocks_;
    AlignedBuffer window_;
    uint64_t first_ = 0, count_ = 0;
};

}  // namespace

Result<> Journal::replay() {
    MutablePageRef first = allocate_page();
    EXO_TRY(device_.read(journal_start_ * kBlockBytes, first->bytes, kBlockBytes));
    if (auto good = check_block(*first, journal_start_, BlockType::kJournalSuper, 0, volume_tag_);
        !good)
        return fail(EUCLEAN, device_.name() + ": " + describe(good.error()));
    const auto* super = first->as<JournalSuper>();
    uint64_t sequence = super->tail_sequence, position = super->tail_position;
    if (super->journal_blocks != journal_blocks_ || sequence == 0 || sequence > UINT64_MAX / 2 ||
        position == 0 || position >= journal_blocks_)
        return fail(EUCLEAN, device_.name() + ": the journal header makes no sense: run fsck.exo");

    RingReader ring(device_, journal_start_, journal_blocks_);
    std::unordered_map<BlockNo, PageRef> found;
    uint64_t total = 0;
    const uint64_t first_sequence = sequence;
    for (;;) {
        std::vector<std::pair<BlockNo, PageRef>> pages;
        uint64_t at = position, length = 0;
        uint32_t crc = 0;
        bool complete = false, last = false;
        while (!last) {
            if (total + length + 2 > ring_blocks()) break;
            EXO_TRY_ASSIGN(const Page* page, ring.at(at));
            if (!check_block(*page, journal_start_ + at, BlockType::kJournalDescriptor, 0,
                             volume_tag_))
                break;
            const JournalDescriptor descriptor = *page->as<JournalDescriptor>();
            if (descriptor.sequence != sequence ||
                total + length + descriptor.count + 2 > ring_blocks())
                break;
            crc = crc32c(&descriptor.header.crc, sizeof(le32), crc);
            at = ring_next(at, 1);
            length++;
            bool good = true;
            for (unsigned i = 0; i < descriptor.count && good; i++) {
                EXO_TRY_ASSIGN(const Page* content, ring.at(at));
                const BlockNo home = descriptor.tags[i].home;
                const auto* header = content->as<BlockHeader>();
                good = descriptor.tags[i].crc == crc32c(content->bytes, kBlockBytes) && home > 0 &&
                       home < volume_blocks_ &&
                       (home < journal_start_ || home >= journal_start_ + journal_blocks_) &&
                       check_block(*content, home, BlockType(uint16_t(header->type)), header->owner,
                                   volume_tag_);
                MutablePageRef copy = allocate_page();
                *copy = *content;
                pages.emplace_back(home, std::move(copy));
                at = ring_next(at, 1);
                length++;
            }
            if (!good) break;
            last = (descriptor.flags & kDescriptorLast) != 0;
        }
        if (last) {
            EXO_TRY_ASSIGN(const Page* page, ring.at(at));
            if (check_block(*page, journal_start_ + at, BlockType::kJournalCommit, 0,
                            volume_tag_)) {
                const auto* commit = page->as<JournalCommit>();
                complete =
                    commit->sequence == sequence && commit->blocks == length && commit->crc == crc;
            }
        }
        if (!complete) break;
        for (auto& [home, page] : pages) found[home] = std::move(page);
        position = ring_next(at, 1);
        total += length + 1;
        sequence++;
    }
    replayed_ = sequence != first_sequence;
    for (auto& [home, page] : found) shard(home).pending[home] = std::move(page);
    if (options_.read_only) {
        durable_ = sequence - 1;
        running_ = sequence;
        return {};
    }
    if (replayed_) {
        EXO_TRY(write_home());
        for (Shard& s : shards_) s.pending.clear();
    }
    // Remains of transactions that were never completed, or that lie behind a damaged one, must
    // never look like the continuation of what is written next: leave a gap in the numbers.
    sequence += journal_blocks_;
    head_ = tail_ = position;
    durable_ = sequence - 1;
    running_ = sequence;
    return write_super(sequence, position, true);
}

}  // namespace exo
