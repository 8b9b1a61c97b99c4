// SPDX-License-Identifier: MIT
// Pass 10: the lists of pinned and orphaned inodes. The flags of the inodes are what counts; a list
// that does not agree with them is written anew.
#include <cstring>

#include "fs/fsck/trees.h"

namespace exo::fsck {

namespace {

struct Listed {
    std::map<Ino, uint32_t> items;
    bool malformed = false;
    std::string why;
};

Listed read_index(Check& c, const InodeRecord& record, Ino index, bool claim) {
    Listed listed;
    const TreeVisitor visitor{[&](BlockNo block) {
                                  if (!claim) return true;
                                  if (c.space->used(block)) {
                                      c.rejected.insert(block);
                                      return false;
                                  }
                                  c.claim_metadata(block, 1);
                                  return true;
                              },
                              [&](uint64_t key, std::span<const std::byte> bytes) {
                                  IndexValue value;
                                  if (bytes.size() != sizeof value) {
                                      listed.malformed = true;
                                      listed.why = "an item is malformed";
                                      return;
                                  }
                                  memcpy(&value, bytes.data(), sizeof value);
                                  listed.items[key] = value.generation;
                              }};
    const TreeOutcome outcome = walk_tree(c, index, record, TreeRoot::kData, visitor);
    if (!outcome.sound()) {
        listed.malformed = true;
        listed.why = outcome.why;
    }
    if (outcome.nodes != record.blocks && !listed.malformed) {
        listed.malformed = true;
        listed.why = "its record counts other blocks";
    }
    return listed;
}

Result<> check_index(Check& c, Ino index, const std::string& name,
                     const std::map<Ino, uint32_t>& flagged) {
    EXO_TRY_ASSIGN(const InodeRecord record, c.record(index));
    const Listed listed = read_index(c, record, index, false);
    bool wrong = false;
    if (listed.malformed)
        wrong = c.problems.found(Damage::kIndex, "the " + name + " is damaged: " + listed.why);
    for (const auto& [ino, generation] : listed.items) {
        auto it = flagged.find(ino);
        if (it == flagged.end() || it->second != generation)
            wrong =
                c.problems.found(Damage::kIndex, "the " + name + " names " + of(ino) +
                                                     " generation " + std::to_string(generation) +
                                                     ", which is not flagged so") ||
                wrong;
    }
    for (const auto& [ino, generation] : flagged)
        if (!listed.items.contains(ino))
            wrong =
                c.problems.found(Damage::kIndex, of(ino) + " is flagged but not in the " + name) ||
                wrong;
    if (!wrong) return {};
    std::vector<TreeRecord> records;
    for (const auto& [ino, generation] : flagged) {
        IndexValue value;
        value.generation = generation;
        value.reserved = 0;
        const auto bytes = std::as_bytes(std::span(&value, 1));
        records.push_back({ino, {bytes.begin(), bytes.end()}});
    }
    if (auto done = replace_tree(c, index, TreeRoot::kData, records); !done) {
        if (done.error().code != ENOSPC) return done;
        c.problems.not_repaired("no block is free; remove something and check again");
        return {};
    }
    // The count of before may have been wrong.
    EXO_TRY_ASSIGN(InodeRecord * edited, c.edit_record(index));
    edited->blocks = read_tree(c, index, *edited, TreeRoot::kData).nodes.size();
    return {};
}

}  // namespace

void claim_indexes(Check& c) {
    for (Ino index : {kPinIndexIno, kOrphanIndexIno})
        if (auto record = c.record(index)) (void)read_index(c, *record, index, true);
}

Result<> check_indexes(Check& c) {
    c.report.pins = c.pinned.size();
    c.report.orphans = c.orphans.size();
    EXO_TRY(check_index(c, kPinIndexIno, "pin list", c.pinned));
    return check_index(c, kOrphanIndexIno, "orphan list", c.orphans);
}

}  // namespace exo::fsck
