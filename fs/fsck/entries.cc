// SPDX-License-Identifier: MIT
#include "fs/fsck/entries.h"

#include <algorithm>

#include "fs/fsck/trees.h"
#include "fs/fsck/values.h"
#include "fs/node/directory.h"

namespace exo::fsck {

namespace {

constexpr size_t kErasedOneByOne = 8;

bool name_taken(const std::vector<TreeRecord>& records, uint64_t base, std::string_view name) {
    auto at = std::ranges::lower_bound(records, base, {}, &TreeRecord::key);
    for (; at != records.end() && at->key - base < kNameTies; ++at)
        if (const auto entry = parse_entry(at->key, at->value); entry && entry->name == name)
            return true;
    return false;
}

Result<> insert(Check& c, Ino dir, std::vector<TreeRecord>& records, NewEntry& entry) {
    uint64_t base = name_key(c.hash_key, entry.name);
    while (name_taken(records, base, entry.name) && entry.name.size() < kMaxEntryNameBytes) {
        entry.name += '~';
        base = name_key(c.hash_key, entry.name);
    }
    uint64_t key = base;
    auto at = std::ranges::lower_bound(records, key, {}, &TreeRecord::key);
    for (; at != records.end() && at->key == key; ++at) key++;
    if (key - base >= kNameTies || name_taken(records, base, entry.name))
        return fail(ENOSPC, "directory " + std::to_string(dir) + " takes no more such names");
    if (auto named = c.directories.find(entry.ino);
        named != c.directories.end() && named->second.found_in == dir)
        named->second.found_key = key;
    records.insert(at, {key, make_entry(entry.ino, entry.type, entry.name)});
    return {};
}

}  // namespace

Result<> change_entries(Check& c, Ino dir, const std::vector<uint64_t>& erased,
                        std::vector<NewEntry> added) {
    if (added.empty() && erased.size() <= kErasedOneByOne) {
        for (uint64_t key : erased) EXO_TRY(erase_record(c, dir, key));
    } else {
        EXO_TRY_ASSIGN(const InodeRecord record, c.record(dir));
        TreeContent content = read_tree(c, dir, record, TreeRoot::kData);
        std::vector<uint64_t> gone = erased;
        std::ranges::sort(gone);
        std::erase_if(content.records, [&](const TreeRecord& item) {
            return std::ranges::binary_search(gone, item.key);
        });
        for (NewEntry& entry : added) EXO_TRY(insert(c, dir, content.records, entry));
        EXO_TRY(replace_tree(c, dir, TreeRoot::kData, content.records));
    }
    DirFacts& facts = c.directories[dir];
    facts.entries = facts.entries + added.size() - std::min<uint64_t>(facts.entries, erased.size());
    if (facts.recorded != facts.entries) {
        EXO_TRY_ASSIGN(InodeRecord * record, c.edit_record(dir));
        record->size = facts.entries;
        facts.recorded = facts.entries;
    }
    return {};
}

}  // namespace exo::fsck
