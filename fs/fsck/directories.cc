// SPDX-License-Identifier: MIT
// Pass 8: every entry of every directory against the inode that it names.
#include <algorithm>

#include "fs/fsck/entries.h"
#include "fs/fsck/trees.h"
#include "fs/fsck/values.h"
#include "fs/node/directory.h"

namespace exo::fsck {

namespace {

class DirectoryPass {
  public:
    explicit DirectoryPass(Check& check) : c_(check) {}

    Result<> run() {
        uint64_t done = 0;
        for (auto& [ino, facts] : c_.directories) {
            if (done++ % 256 == 0)
                EXO_TRY(c_.pause(unsigned(70 + done * 20 / c_.directories.size())));
            EXO_TRY(directory(ino, facts));
        }
        // A directory's second name may have turned up before the one that it is to keep.
        for (const auto& [dir, keys] : later_) {
            c_.directories[dir].subdirs -= uint32_t(keys.size());
            EXO_TRY(change_entries(c_, dir, keys, {}));
        }
        return {};
    }

  private:
    bool found(Damage damage, const std::string& name, const std::string& what) {
        return c_.problems.found(damage, "directory " + std::to_string(dir_) +
                                             (name.empty() ? "" : " names \"" + name + "\"") +
                                             what);
    }

    Result<> directory(Ino ino, DirFacts& facts) {
        dir_ = ino;
        erased_.clear();
        added_.clear();
        retyped_.clear();
        ties_.clear();
        tie_base_ = 0;
        EXO_TRY_ASSIGN(const InodeRecord record, c_.record(ino));
        const TreeVisitor visitor{
            {}, [&](uint64_t key, std::span<const std::byte> value) { entry(key, value, facts); }};
        (void)walk_tree(c_, ino, record, TreeRoot::kData, visitor);
        for (const auto& [key, value] : retyped_) EXO_TRY(overwrite_record(c_, ino, key, value));
        if (facts.entries != facts.recorded &&
            found(Damage::kDirectoryCount, "",
                  " has " + std::to_string(facts.entries) + " entries but its record says " +
                      std::to_string(facts.recorded))) {
            EXO_TRY_ASSIGN(InodeRecord * edited, c_.edit_record(ino));
            edited->size = facts.entries;
            facts.recorded = facts.entries;
        }
        if (erased_.empty() && added_.empty()) return {};
        if (auto changed = change_entries(c_, ino, erased_, added_); !changed) {
            if (changed.error().code != ENOSPC) return changed;
            (void)found(Damage::kEntry, "", " cannot be changed");
            c_.problems.not_repaired("no block is free; remove something and check again");
        }
        return {};
    }

    // Counts as recorded until change_entries() has taken it out.
    void entry(uint64_t key, std::span<const std::byte> value, DirFacts& facts) {
        facts.entries++;
        const auto parsed = parse_entry(key, value);
        if (!parsed) {
            if (found(Damage::kEntry, "", " has a malformed entry")) erased_.push_back(key);
            return;
        }
        const std::string name(parsed->name);
        const uint64_t base = name_key(c_.hash_key, name);
        const bool misplaced = key - base >= kNameTies;
        if (base != tie_base_) ties_.clear();
        tie_base_ = base;
        if (std::ranges::find(ties_, name) != ties_.end()) {
            if (found(Damage::kEntryTwice, name, " twice")) erased_.push_back(key);
            return;
        }
        if (!misplaced) ties_.push_back(name);
        const InodeFacts* target =
            parsed->ino < c_.inode_limit() ? &c_.facts(parsed->ino) : nullptr;
        if (!target || target->type == 0) {
            if (found(Damage::kEntryUnused, name, ", " + of(parsed->ino) + ", which is not in use"))
                erased_.push_back(key);
            return;
        }
        if (target->type == S_IFDIR >> 12 && !names_directory(key, parsed->ino, name)) return;
        c_.facts(parsed->ino).names++;
        if (dir_ == kRootIno && name == "lost+found" && target->type == S_IFDIR >> 12)
            c_.lost_found = parsed->ino;
        if (misplaced) {
            if (found(Damage::kEntryHash, name, " under the wrong hash")) {
                erased_.push_back(key);
                added_.push_back({name, parsed->ino, target->type});
            }
            return;
        }
        if (parsed->type != target->type &&
            found(Damage::kEntryType, name,
                  ", " + of(parsed->ino) + ", with another type than it has"))
            retyped_.emplace_back(key, make_entry(parsed->ino, target->type, name));
    }

    // Whether this may be the name of that directory; each has one.
    bool names_directory(uint64_t key, Ino ino, const std::string& name) {
        auto it = c_.directories.find(ino);
        if (it == c_.directories.end()) return true;
        DirFacts& target = it->second;
        if (ino == kRootIno) {
            if (found(Damage::kDirectoryNames, name, ", which is the root")) erased_.push_back(key);
            return false;
        }
        if (target.found_in != 0) {
            if (!c_.problems.found(Damage::kDirectoryNames,
                                   "directory " + std::to_string(ino) + " has more than one name"))
                return true;
            // The one that its own record knows stays.
            if (target.parent != dir_ || target.found_in == dir_) {
                erased_.push_back(key);
                return false;
            }
            later_[target.found_in].push_back(target.found_key);
            c_.facts(ino).names--;
        }
        target.found_in = dir_;
        target.found_key = key;
        c_.directories[dir_].subdirs++;
        return true;
    }

    Check& c_;
    Ino dir_ = 0;
    std::vector<uint64_t> erased_;
    std::vector<NewEntry> added_;
    std::vector<std::pair<uint64_t, std::vector<std::byte>>> retyped_;
    std::vector<std::string> ties_;  // names that share the upper part of a key
    uint64_t tie_base_ = 0;
    std::map<Ino, std::vector<uint64_t>> later_;
};

}  // namespace

Result<> check_directories(Check& check) {
    return DirectoryPass(check).run();
}

}  // namespace exo::fsck
