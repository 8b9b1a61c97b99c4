// SPDX-License-Identifier: MIT
// What directories and symlinks hold.
#include "fs/volume/impl.h"

namespace exo {

Result<std::string> Volume::readlink(Ino ino) {
    VolumeImpl& v = *impl_;
    bool due = false;
    auto result = v.look([&]() -> Result<std::string> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        if (!S_ISLNK(ref->mode)) return fail(EINVAL);
        std::string target;
        EXO_TRY(
            Tree(*v.core, *v.inodes, ino).scan(0, [&](uint64_t, std::span<const std::byte> piece) {
                target.append(reinterpret_cast<const char*>(piece.data()), piece.size());
                return target.size() <= kMaxSymlinkBytes;
            }));
        if (target.size() != ref->size || target.empty() || target.size() > kMaxSymlinkBytes ||
            target.find('\0') != target.npos)
            return fail(EUCLEAN,
                        "symlink " + std::to_string(ino) + " has a malformed target: run fsck.exo");
        due = v.atime_due(*ref.record);
        return target;
    });
    if (due) v.set_atime(ino);
    return result;
}

namespace {
Result<std::vector<DirEntry>> list(VolumeImpl& v, Ino dir, uint64_t cookie, size_t max_entries,
                                   bool plus) {
    bool due = false;
    auto result = v.look([&]() -> Result<std::vector<DirEntry>> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, read_directory(*v.inodes, dir));
        std::vector<DirEntry> entries;
        for (uint64_t dots = cookie; dots < 2 && entries.size() < max_entries; dots++) {
            DirEntry entry{
                dots == 0 ? "." : "..", dots == 0 ? dir : Ino(ref->parent), S_IFDIR, dots + 1, {}};
            if (plus) {
                EXO_TRY_ASSIGN(const InodeTable::Ref self, v.inodes->read(entry.ino));
                entry.attr = v.attr_of(entry.ino, *self.record);
            }
            entries.push_back(std::move(entry));
        }
        due = v.atime_due(*ref.record);
        if (entries.size() >= max_entries) return entries;
        EXO_TRY_ASSIGN(auto found,
                       v.directory(dir).list(std::max<uint64_t>(cookie, kFirstEntryKey - 1),
                                             max_entries - entries.size()));
        if (plus) {
            std::vector<Ino> inos;
            inos.reserve(found.size());
            for (const Entry& item : found) inos.push_back(item.ino);
            EXO_TRY(v.inodes->need(inos));
        }
        for (Entry& item : found) {
            DirEntry entry{std::move(item.name), item.ino, item.type, item.key, {}};
            if (plus) {
                auto child = v.inodes->read(item.ino);
                if (!child) {
                    for (const DirEntry& taken : entries)
                        if (taken.cookie >= kFirstEntryKey) v.states.unref(taken.ino, 1);
                    return child.error().code == ESTALE ? dangling(dir, entry.name)
                                                        : std::unexpected(child.error());
                }
                entry.attr = v.attr_of(item.ino, *child->record);
                entry.mode = entry.attr.mode;
                v.take_ref(item.ino);
            }
            entries.push_back(std::move(entry));
        }
        return entries;
    });
    if (due) v.set_atime(dir);
    return result;
}

}  // namespace

Result<std::vector<DirEntry>> Volume::readdir(Ino dir, uint64_t cookie, size_t max_entries) {
    return list(*impl_, dir, cookie, max_entries, false);
}

Result<std::vector<DirEntry>> Volume::readdir_plus(Ino dir, uint64_t cookie, size_t max_entries) {
    return list(*impl_, dir, cookie, max_entries, true);
}

}  // namespace exo
