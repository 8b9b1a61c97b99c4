// SPDX-License-Identifier: MIT
// The commit of the running transaction, and the checkpoint. The cache is in cache.cc, handles in
// handle.cc, replay in replay.cc.
#include "fs/journal/journal.h"

#include <time.h>

#include <algorithm>

#include "fs/base/crc32c.h"
#include "fs/base/log.h"
#include "fs/format/journal_format.h"

namespace exo {

namespace {
// Large, because in a directory of a million names each new one changes another block: the more
// come together, the more of them share one. And yet of bounded memory, as are the blocks which
// wait to go home.
constexpr unsigned kLargestTransaction = 12288;
constexpr uint64_t kMostPending = 20480;
static_assert((kMinJournalBlocks - 16) / 2 >= Journal::kMaxHandleCredits);
constexpr size_t kIovecsPerRequest = 256;

struct PlacedPage {
    BlockNo block;
    const Page* page;
};

// Writes pages, those that are neighbours on the device together. REQUIRES: sorted by block
Result<> write_pages(BlockDevice& device, std::span<const PlacedPage> pages) {
    std::vector<iovec> buffers;
    buffers.reserve(pages.size());
    for (const PlacedPage& placed : pages)
        buffers.push_back({const_cast<std::byte*>(placed.page->bytes), kBlockBytes});
    std::vector<IoRequest> requests;
    for (size_t from = 0; from < pages.size();) {
        size_t to = from + 1;
        while (to < pages.size() && to - from < kIovecsPerRequest &&
               pages[to].block == pages[to - 1].block + 1)
            to++;
        requests.push_back({IoKind::kWrite, pages[from].block * kBlockBytes,
                            std::span(buffers).subspan(from, to - from)});
        from = to;
    }
    return device.run(requests);
}
}  // namespace

Journal::Journal(BlockDevice& device, const Superblock& superblock, const Options& options)
    : device_(device),
      options_(options),
      volume_blocks_(superblock.size_blocks),
      journal_start_(superblock.journal_start),
      journal_blocks_(superblock.journal_blocks),
      volume_tag_(superblock.header.volume_tag),
      shard_capacity_(std::max<size_t>(options.cache_bytes / kBlockBytes / kShards, 8)),
      // Two such transactions, descriptors included, fit into the ring at once.
      max_transaction_blocks_(
          unsigned(std::min<uint64_t>(kLargestTransaction, (superblock.journal_blocks - 16) / 2))) {
}

Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::open(BlockDevice& device, const Superblock& superblock,
                                               const Options& options) {
    std::unique_ptr<Journal> journal(new Journal(device, superblock, options));
    EXO_TRY(journal->replay());
    return journal;
}

PageRef Journal::not_home(BlockNo block) {
    Shard& s = shard(block);
    std::lock_guard lock(s.mutex);
    auto it = s.pending.find(block);
    return it == s.pending.end() ? nullptr : it->second;
}

// -- commit

Result<> Journal::give_up(Result<> error) {
    if (!failed_.exchange(true))
        log(LogLevel::kError, describe(error.error()) +
                                  "; the file system is now read-only, what was synced before is "
                                  "safe: unmount it and run fsck.exo");
    return error;
}

bool Journal::wants_checkpoint() const {
    return used_.load(std::memory_order_relaxed) > ring_blocks() / 2;
}

// Called with commit_mutex_ held.
Result<> Journal::flush_device() {
    const uint64_t number = ++flushes_begun_;
    // After a failed flush nobody knows what was written: nothing may build on it.
    if (auto result = device_.flush(); !result) return give_up(std::move(result));
    flushed_ = number;
    return {};
}

Result<> Journal::commit(uint64_t through_sequence) {
    const uint64_t before_call = flushes_begun_.load();
    std::lock_guard lock(commit_mutex_);
    if (options_.read_only) return {};
    if (failed()) return fail(EIO, device_.name() + ": a write to the journal failed earlier");
    if (durable_sequence() < through_sequence && has_changes()) return commit_locked();
    // Whoever held the mutex before may have flushed for us, too.
    return flushed_ > before_call ? Result<>() : flush_device();
}

Result<> Journal::checkpoint() {
    std::lock_guard lock(commit_mutex_);
    if (options_.read_only) return {};
    if (failed()) return fail(EIO, device_.name() + ": a write to the journal failed earlier");
    EXO_TRY(commit_locked());
    return checkpoint_locked();
}

// Makes the blocks of a closed transaction pending.
void Journal::settle(std::span<const PageRef> pages, uint64_t sequence) {
    for (size_t i = 0; i < kShards; i++) {
        Shard& s = shards_[i];
        std::lock_guard lock(s.mutex);
        for (const PageRef& page : pages) {
            const BlockNo block = page->as<BlockHeader>()->address;
            if (shard_index(block) != i) continue;
            s.pending[block] = page;
            auto it = s.entries.find(block);
            if (it != s.entries.end() && it->second.dirty == sequence) it->second.dirty = 0;
        }
        s.settled = sequence;
        trim(s);
    }
}

// How many blocks would wait to go home with these.
uint64_t Journal::pending_with(std::span<const PageRef> pages) {
    uint64_t count = 0;
    for (Shard& s : shards_) {
        std::lock_guard lock(s.mutex);
        count += s.pending.size();
    }
    for (const PageRef& page : pages) {
        const BlockNo block = page->as<BlockHeader>()->address;
        Shard& s = shard(block);
        std::lock_guard lock(s.mutex);
        count += !s.pending.contains(block);
    }
    return count;
}

Result<> Journal::commit_locked() {
    // The transaction may still grow until it is closed below; there must be room at its largest.
    const uint64_t most =
        max_transaction_blocks_ + max_transaction_blocks_ / kTagsPerDescriptor + 2;
    if (ring_blocks() - used_ < most) EXO_TRY(checkpoint_locked());

    std::unordered_map<BlockNo, PageRef> changed;
    std::vector<BlockRun> freed_data, freed_metadata;
    uint64_t sequence;
    {
        std::unique_lock meta(meta_);
        changed.swap(changed_);
        dirty_count_ = 0;
        freed_data.swap(freed_data_);
        freed_metadata.swap(freed_metadata_);
        sequence = running_sequence();
        if (!changed.empty()) running_ = sequence + 1;
    }
    if (changed.empty()) {
        EXO_TRY(flush_device());
    } else {
        std::vector<PageRef> pages;
        pages.reserve(changed.size());
        for (auto& [block, page] : changed) pages.push_back(std::move(page));
        std::ranges::sort(pages, {}, [](const PageRef& page) {
            return uint64_t(page->as<BlockHeader>()->address);
        });
        if (pending_with(pages) > kMostPending) EXO_TRY(checkpoint_locked());
        for (const PageRef& page : pages) seal_block(const_cast<Page&>(*page));
        settle(pages, sequence);
        if (auto result = write_log(pages, sequence); !result) return give_up(std::move(result));
        durable_ = sequence;
    }
    uint64_t count = 0;
    for (const BlockRun& run : freed_data) count += run.count;
    if (keeper_ && !freed_data.empty()) keeper_->reusable(freed_data);
    deferred_ -= count;
    freed_until_checkpoint_.insert(freed_until_checkpoint_.end(), freed_metadata.begin(),
                                   freed_metadata.end());
    return {};
}

Result<> Journal::write_log(std::span<const PageRef> pages, uint64_t sequence) {
    std::vector<MutablePageRef> descriptors;
    std::vector<PlacedPage> placed;
    uint64_t position = head_;
    auto place = [&](const Page* page) {
        placed.push_back({journal_start_ + position, page});
        position = ring_next(position, 1);
    };
    uint32_t crc = 0;
    for (size_t at = 0; at < pages.size(); at += kTagsPerDescriptor) {
        const size_t count = std::min<size_t>(kTagsPerDescriptor, pages.size() - at);
        MutablePageRef page = allocate_zero_page();
        init_block(*page, journal_start_ + position, BlockType::kJournalDescriptor, 0, volume_tag_);
        auto* descriptor = page->as<JournalDescriptor>();
        descriptor->sequence = sequence;
        descriptor->count = uint32_t(count);
        descriptor->flags = at + count == pages.size() ? kDescriptorLast : 0;
        for (size_t i = 0; i < count; i++) {
            descriptor->tags[i].home = pages[at + i]->as<BlockHeader>()->address;
            descriptor->tags[i].crc = crc32c(pages[at + i]->bytes, kBlockBytes);
        }
        seal_block(*page);
        crc = crc32c(&descriptor->header.crc, sizeof(le32), crc);
        place(page.get());
        for (size_t i = 0; i < count; i++) place(pages[at + i].get());
        descriptors.push_back(std::move(page));
    }
    const auto wrap = std::find_if(placed.begin(), placed.end(), [&](const PlacedPage& p) {
        return p.block < placed.front().block;
    });
    EXO_TRY(write_pages(device_, {placed.begin(), wrap}));
    if (wrap != placed.end()) EXO_TRY(write_pages(device_, {wrap, placed.end()}));
    // One flush for the data that this transaction points to and for the log so far.
    EXO_TRY(flush_device());

    MutablePageRef last = allocate_zero_page();
    init_block(*last, journal_start_ + position, BlockType::kJournalCommit, 0, volume_tag_);
    auto* commit = last->as<JournalCommit>();
    commit->sequence = sequence;
    commit->blocks = uint32_t(placed.size());
    commit->crc = crc;
    commit->time_s = int64_t(time(nullptr));
    seal_block(*last);
    EXO_TRY(device_.write((journal_start_ + position) * kBlockBytes, last->bytes, kBlockBytes,
                          IoKind::kWriteThrough));
    head_ = ring_next(position, 1);
    used_ += placed.size() + 1;
    return {};
}

// -- checkpoint

Result<> Journal::write_home() {
    std::vector<PageRef> held;
    for (Shard& s : shards_) {
        std::lock_guard lock(s.mutex);
        for (const auto& [block, page] : s.pending) held.push_back(page);
    }
    std::vector<PlacedPage> placed;
    placed.reserve(held.size());
    for (const PageRef& page : held)
        placed.push_back({page->as<BlockHeader>()->address, page.get()});
    std::ranges::sort(placed, {}, &PlacedPage::block);
    EXO_TRY(write_pages(device_, placed));
    return flush_device();
}

Result<> Journal::checkpoint_locked() {
    if (used_ == 0 && freed_until_checkpoint_.empty()) return {};
    if (auto result = write_home(); !result) return give_up(std::move(result));
    if (auto result = write_super(durable_sequence() + 1, head_, true); !result)
        return give_up(std::move(result));
    tail_ = head_;
    used_ = 0;
    for (Shard& s : shards_) {
        std::lock_guard lock(s.mutex);
        for (const auto& [block, page] : s.pending) {
            s.changes_of(block)++;  // who is reading what was home before must not keep it
            const auto it = s.entries.find(block);
            if (it != s.entries.end() && it->second.dirty == 0 && !it->second.listed)
                s.list(block, it->second);
        }
        s.pending.clear();
        trim(s);
    }
    uint64_t count = 0;
    for (const BlockRun& run : freed_until_checkpoint_) count += run.count;
    if (keeper_ && count > 0) keeper_->reusable(freed_until_checkpoint_);
    deferred_ -= count;
    freed_until_checkpoint_.clear();
    return {};
}

Result<> Journal::write_super(uint64_t tail_sequence, uint64_t tail_position, bool durable) {
    MutablePageRef page = allocate_zero_page();
    init_block(*page, journal_start_, BlockType::kJournalSuper, 0, volume_tag_);
    auto* super = page->as<JournalSuper>();
    super->tail_sequence = tail_sequence;
    super->tail_position = tail_position;
    super->journal_blocks = journal_blocks_;
    seal_block(*page);
    return device_.write(journal_start_ * kBlockBytes, page->bytes, kBlockBytes,
                         durable ? IoKind::kWriteThrough : IoKind::kWrite);
}

}  // namespace exo
