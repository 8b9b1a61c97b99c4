// SPDX-License-Identifier: MIT
// The volume as fsck sees it: what repairs have changed, else what the journal holds, else the
// device, read in large pieces. Changes stay in memory until write_back().
#pragma once

#include <map>
#include <unordered_map>
#include <vector>

#include "fs/device/block_device.h"
#include "fs/format/block.h"
#include "fs/journal/journal.h"

namespace exo::fsck {

class Image {
  public:
    Image(BlockDevice& device, const Superblock& superblock)
        : device_(device),
          size_blocks_(superblock.size_blocks),
          tag_(superblock.header.volume_tag),
          chunks_(kChunks) {}

    // What it has waiting to go home is read from there. It must live as long.
    void set_journal(Journal* journal) { journal_ = journal; }

    // REQUIRES for all: the block lies in the volume
    Result<PageRef> read(BlockNo block);
    // The same, and what check_block() says of it.
    Result<PageRef> read(BlockNo block, BlockType type, uint64_t owner);
    // Reads blocks that lie far apart at once; they are kept until the next call.
    void read_ahead(const std::vector<BlockNo>& blocks);
    // A copy that is written back later.
    Result<Page*> edit(BlockNo block);
    // A new content with a header, written back later.
    Page* create(BlockNo block, BlockType type, uint64_t owner);
    // What was created or changed here is not to be written after all.
    void forget(BlockNo block) { changed_.erase(block); }
    // File data to be copied before anything else is written.
    void copy_data(BlockNo from, BlockNo to);

    bool changed() const { return !changed_.empty() || !copies_.empty(); }
    uint32_t tag() const { return tag_; }
    // Writes everything through the journal: copies, then `fresh` blocks, which nothing points to
    // yet, then the others.
    Result<> write_back(Journal& journal);

  private:
    static constexpr uint64_t kChunkBlocks = 32;
    static constexpr size_t kChunks = 64;
    struct Chunk {
        uint64_t number = UINT64_MAX;
        AlignedBuffer bytes;
    };
    struct Change {
        MutablePageRef page;
        bool fresh;
    };
    struct Copy {
        BlockNo from, to;
        uint64_t count;
    };
    Result<> copy(const Copy& copy);

    BlockDevice& device_;
    Journal* journal_ = nullptr;
    uint64_t size_blocks_;
    uint32_t tag_;
    std::vector<Chunk> chunks_;
    std::unordered_map<BlockNo, Change> changed_;
    std::vector<Copy> copies_;
    std::unordered_map<BlockNo, PageRef> ahead_;
};

}  // namespace exo::fsck
