// SPDX-License-Identifier: MIT
#include "fs/fsck/problems.h"

#include <iterator>

namespace exo {

namespace {
constexpr DamageClass kClasses[] = {
    {"superblock", true, "restore it from a backup"},
    {"no-superblock", false, "restore it from a backup"},
    {"backup-superblock", true, "write it again"},
    {"journal-header", false, "empty the journal"},
    {"journal-content", false, "drop what follows in the journal"},
    {"system-block", false, "rebuild it"},
    {"inode-file", false, "put it together again"},
    {"inode-block", false, "clear it"},
    {"inode-record", false, "clear it"},
    {"inode-field", true, "correct it"},
    {"tree", false, "rebuild it from what is left"},
    {"extent", false, "remove it"},
    {"overlap", false, "separate them"},
    {"file-size", true, "correct it"},
    {"symlink", false, "remove it"},
    {"special-file", false, "clear it"},
    {"attribute", false, "remove it"},
    {"acl-mode", true, "allow what both allow"},
    {"root", false, "make a new one"},
    {"entry", false, "remove it"},
    {"entry-hash", true, "move it"},
    {"entry-twice", false, "remove the second"},
    {"entry-unused", true, "remove it"},
    {"entry-type", true, "correct it"},
    {"directory-names", false, "keep one name"},
    {"directory-loop", false, "move it to /lost+found"},
    {"directory-count", true, "correct it"},
    {"parent", true, "correct it"},
    {"links", true, "correct it"},
    {"unnamed", true, "name it in /lost+found"},
    {"block-count", true, "correct it"},
    {"flags", true, "correct it"},
    {"index", true, "rebuild it"},
    {"inode-bitmap", true, "correct it"},
    {"bitmap", true, "correct it"},
};
static_assert(std::size(kClasses) == kDamageClasses);
}  // namespace

const DamageClass& damage_class(Damage damage) {
    return kClasses[unsigned(damage)];
}

namespace fsck {

bool Problems::found(Damage damage, std::string text) {
    // What others are told to do is being done.
    constexpr std::string_view kAdvice = ": run fsck.exo";
    for (size_t at; (at = text.find(kAdvice)) != text.npos;) text.erase(at, kAdvice.size());
    const DamageClass& about = damage_class(damage);
    report_.found++;
    if (!about.safe) all_safe_ = false;
    const bool agreed =
        options_.mode != FsckMode::kAsk || !options_.ask || options_.ask(text, about.repair);
    if (agreed)
        agreed_++;
    else
        declined_++;
    if (report_.problems.size() < options_.max_problems) {
        report_.problems.push_back(std::move(text));
        // For now: what was declined stays so, the rest is settled by all_written().
        report_.findings.push_back({damage, agreed});
    }
    return agreed;
}

void Problems::not_repaired(const std::string& why) {
    if (agreed_ > 0) agreed_--;
    declined_++;
    if (report_.problems.size() < options_.max_problems && !report_.findings.empty()) {
        report_.problems.back() += " (cannot be repaired: " + why + ")";
        report_.findings.back().repaired = false;
    }
}

void Problems::all_written() {
    report_.repaired = agreed_;
    report_.written = true;
}

}  // namespace fsck
}  // namespace exo
