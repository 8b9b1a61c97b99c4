// SPDX-License-Identifier: MIT
// The cache, the commit of the running transaction, and the checkpoint. Replay is in replay.cc,
// handles in handle.cc.
#include "fs/journal/journal.h"

#include <time.h>

#include <algorithm>

#include "fs/base/crc32c.h"
#include "fs/base/log.h"
#include "fs/format/journal_format.h"

namespace exo {

namespace {
constexpr unsigned kLargestTransaction = 4096;
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

// -- cache

void Journal::trim(Shard& s) {
    while (s.lru.size() > shard_capacity_) {
        s.entries.erase(s.lru.back());
        s.lru.pop_back();
    }
}

void Journal::set_entry(BlockNo block, PageRef page, bool dirty) {
    Shard& s = shard(block);
    std::lock_guard lock(s.mutex);
    auto [it, fresh] = s.entries.try_emplace(block);
    Entry& entry = it->second;
    if (!fresh && !entry.dirty) s.lru.erase(entry.lru);
    entry.page = std::move(page);
    entry.dirty = dirty;
    if (!dirty) {
        s.lru.push_front(block);
        entry.lru = s.lru.begin();
        trim(s);
    }
}

void Journal::erase_entry(BlockNo block) {
    Shard& s = shard(block);
    std::lock_guard lock(s.mutex);
    auto it = s.entries.find(block);
    if (it == s.entries.end()) return;
    if (!it->second.dirty) s.lru.erase(it->second.lru);
    s.entries.erase(it);
}

Result<PageRef> Journal::read(BlockNo block, BlockType type, uint64_t owner) {
    Shard& s = shard(block);
    PageRef page;
    {
        std::lock_guard lock(s.mutex);
        if (auto it = s.entries.find(block); it != s.entries.end()) {
            Entry& entry = it->second;
            if (!entry.dirty && entry.lru != s.lru.begin())
                s.lru.splice(s.lru.begin(), s.lru, entry.lru);
            page = entry.page;
        } else if (auto waiting = s.pending.find(block); waiting != s.pending.end()) {
            page = waiting->second;
        }
    }
    if (page) {
        // Only a damaged pointer makes two users of one block; the cached one was checked as
        // another.
        const auto* header = page->as<BlockHeader>();
        if (header->type != uint16_t(type) || header->owner != owner)
            return fail(EUCLEAN, "block " + std::to_string(block) + " is used as " +
                                     block_type_name(type) + " of inode " + std::to_string(owner) +
                                     " and as something else: run fsck.exo");
        return page;
    }
    if (block == 0 || block >= volume_blocks_)
        return fail(EUCLEAN, "a pointer to block " + std::to_string(block) +
                                 " leads outside the file system: run fsck.exo");
    MutablePageRef fresh = allocate_page();
    EXO_TRY(device_.read(block * kBlockBytes, fresh->bytes, kBlockBytes));
    EXO_TRY(check_block(*fresh, block, type, owner, volume_tag_));
    std::lock_guard lock(s.mutex);
    auto [it, inserted] = s.entries.try_emplace(block);
    if (inserted) {
        it->second.page = fresh;
        s.lru.push_front(block);
        it->second.lru = s.lru.begin();
        PageRef result = fresh;
        trim(s);
        return result;
    }
    return it->second.page;
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

Result<> Journal::commit(uint64_t through_sequence) {
    std::unique_lock lock(commit_mutex_);
    if (options_.read_only) return {};
    if (failed()) return fail(EIO, device_.name() + ": a write to the journal failed earlier");
    if (durable_sequence() >= through_sequence) {
        lock.unlock();
        return device_.flush();
    }
    return commit_locked();
}

Result<> Journal::checkpoint() {
    std::lock_guard lock(commit_mutex_);
    if (options_.read_only) return {};
    if (failed()) return fail(EIO, device_.name() + ": a write to the journal failed earlier");
    EXO_TRY(commit_locked());
    return checkpoint_locked();
}

Result<> Journal::commit_locked() {
    // The transaction may still grow until it is closed below; there must be room at its largest.
    const uint64_t most =
        max_transaction_blocks_ + max_transaction_blocks_ / kTagsPerDescriptor + 2;
    if (ring_blocks() - used_ < most) EXO_TRY(checkpoint_locked());

    std::vector<PageRef> pages;
    std::vector<BlockRun> freed_data, freed_metadata;
    uint64_t sequence;
    {
        std::unique_lock meta(meta_);
        std::sort(dirty_.begin(), dirty_.end());
        dirty_.erase(std::unique(dirty_.begin(), dirty_.end()), dirty_.end());
        for (BlockNo block : dirty_) {
            Shard& s = shard(block);
            std::lock_guard lock(s.mutex);
            auto it = s.entries.find(block);
            if (it == s.entries.end() || !it->second.dirty) continue;  // dropped since
            // Nobody reads a checksum in memory, and nobody else writes under meta_.
            seal_block(const_cast<Page&>(*it->second.page));
            it->second.dirty = false;
            s.lru.push_front(block);
            it->second.lru = s.lru.begin();
            s.pending[block] = it->second.page;
            pages.push_back(it->second.page);
            trim(s);
        }
        dirty_.clear();
        dirty_count_ = 0;
        freed_data.swap(freed_data_);
        freed_metadata.swap(freed_metadata_);
        sequence = running_sequence();
        if (!pages.empty()) running_ = sequence + 1;
    }
    if (pages.empty()) {
        if (auto result = device_.flush(); !result) return give_up(std::move(result));
    } else {
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
    EXO_TRY(device_.flush());

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
    return device_.flush();
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
        s.pending.clear();
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
