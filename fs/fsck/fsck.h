// SPDX-License-Identifier: MIT
// Checks a volume and repairs it. Every finding is of a class (docs/FORMAT.md, section 12), which
// says whether its repair can lose anything. Repairs are prepared in memory and written at the end
// through the journal, new blocks before what points to them: a check alone writes nothing, and a
// repair that is cut off leaves what another one mends.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/base/page.h"
#include "fs/base/result.h"
#include "fs/device/block_device.h"

namespace exo {

enum class FsckMode : uint8_t {
    kCheck,   // writes nothing; the journal is replayed in memory
    kSafe,    // repairs if no finding's repair can lose anything; else only replays the journal
    kRepair,  // repairs everything
    kAsk,     // asks before each repair
};

enum class Damage : uint8_t {
    kSuperblock,
    kNoSuperblock,
    kBackup,
    kJournalSuper,
    kJournalContent,
    kSystemBlock,
    kInodeFile,
    kInodeBlock,
    kInodeRecord,
    kInodeField,
    kTree,
    kExtent,
    kOverlap,
    kFileSize,
    kSymlink,
    kSpecialFile,
    kAttribute,
    kAclMode,
    kRoot,
    kEntry,
    kEntryHash,
    kEntryTwice,
    kEntryUnused,
    kEntryType,
    kDirectoryNames,
    kDirectoryLoop,
    kDirectoryCount,
    kParent,
    kLinks,
    kUnnamed,
    kBlockCount,
    kFlags,
    kIndex,
    kInodeBitmap,
    kBitmap,
};
inline constexpr unsigned kDamageClasses = unsigned(Damage::kBitmap) + 1;

struct DamageClass {
    const char* name;    // one word, for programs
    bool safe;           // its repair loses nothing
    const char* repair;  // what is done about it, as a question would say it
};
const DamageClass& damage_class(Damage damage);

struct FsckOptions {
    FsckMode mode = FsckMode::kCheck;
    BlockNo backup = 0;            // use this copy of the superblock; 0: choose
    uint32_t max_problems = 1000;  // stop collecting texts after so many
    // kAsk: whether to repair it. Empty: yes.
    std::function<bool(std::string_view problem, std::string_view repair)> ask{};
    // Called now and then with the share done, 0..100; may be empty.
    std::function<void(unsigned percent)> progress{};
    // True ends the run with ECANCELED before anything but the journal is written; may be empty.
    std::function<bool()> cancelled{};
};

struct FsckFinding {
    Damage damage;
    bool repaired = false;
};

struct FsckReport {
    std::vector<std::string> problems;  // plain sentences; empty: the volume is sound
    std::vector<FsckFinding> findings;  // of the same order
    uint64_t found = 0, repaired = 0;   // also what was not collected
    bool journal_replayed = false;      // the volume was not unmounted cleanly
    bool written = false;               // repairs reached the device
    uint64_t inodes = 0;
    uint64_t directories = 0;
    uint64_t orphans = 0;
    uint64_t pins = 0;
    uint64_t used_blocks = 0;
    uint64_t free_blocks = 0;
};

// An error means that the check could not be made (no superblock anywhere), the repair could not be
// written, or ECANCELED.
Result<FsckReport> fsck_run(BlockDevice& device, const FsckOptions& options);

// The check alone.
inline Result<FsckReport> fsck_check(BlockDevice& device) {
    return fsck_run(device, {});
}

}  // namespace exo
