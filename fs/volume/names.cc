// SPDX-License-Identifier: MIT
// Operations on names. Each is one handle, so each happens in full or not at all.
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstring>

#include "fs/volume/impl.h"

namespace exo {

namespace {
struct NewNode {
    uint32_t mode, uid, gid;
    uint64_t rdev;
    std::string_view target;  // of a symlink
};

Result<InodeTable::Ref> read_directory(InodeTable& inodes, Ino ino) {
    EXO_TRY_ASSIGN(InodeTable::Ref ref, inodes.read(ino));
    if (!S_ISDIR(ref->mode)) return fail(ENOTDIR);
    return ref;
}

std::unexpected<Error> dangling(Ino dir, std::string_view name) {
    return fail(EUCLEAN, "entry \"" + std::string(name) + "\" of directory " + std::to_string(dir) +
                             " names an inode that is not in use: run fsck.exo");
}
}  // namespace

Result<> check_name(std::string_view name) {
    if (name.size() > kMaxNameBytes) return fail(ENAMETOOLONG);
    if (name.empty()) return fail(ENOENT);
    if (!name_valid(name)) return fail(EINVAL);
    return {};
}

Result<FileAttr> Volume::lookup(Ino parent, std::string_view name) {
    VolumeImpl& v = *impl_;
    if (name.size() > kMaxNameBytes) return fail(ENAMETOOLONG);
    auto reader = v.journal->reader();
    EXO_TRY_ASSIGN(const InodeTable::Ref dir, read_directory(*v.inodes, parent));
    Ino ino;
    if (name == ".") {
        ino = parent;
    } else if (name == "..") {
        ino = dir->parent;
    } else {
        EXO_TRY_ASSIGN(const auto entry, v.directory(parent).find(name));
        if (!entry) return fail(ENOENT);
        ino = entry->ino;
    }
    auto ref = v.inodes->read(ino);
    if (!ref)
        return ref.error().code == ESTALE ? dangling(parent, name) : std::unexpected(ref.error());
    v.take_ref(ino);
    return v.attr_of(ino, *ref->record);
}

static Result<FileAttr> make_node(VolumeImpl& v, Ino parent, std::string_view name,
                                  const NewNode& node);

Result<FileAttr> Volume::create(Ino parent, std::string_view name, uint32_t mode, uint32_t uid,
                                uint32_t gid, uint64_t rdev) {
    switch (mode & S_IFMT) {
        case S_IFREG:
        case S_IFIFO:
        case S_IFSOCK:
            rdev = 0;
            break;
        case S_IFCHR:
        case S_IFBLK:
            break;
        default:
            return fail(EINVAL);
    }
    const NewNode node{mode, uid, gid, rdev, {}};
    return impl_->with_space([&] { return make_node(*impl_, parent, name, node); });
}

Result<FileAttr> Volume::mkdir(Ino parent, std::string_view name, uint32_t mode, uint32_t uid,
                               uint32_t gid) {
    const NewNode node{S_IFDIR | (mode & 07777), uid, gid, 0, {}};
    return impl_->with_space([&] { return make_node(*impl_, parent, name, node); });
}

Result<FileAttr> Volume::symlink(Ino parent, std::string_view name, std::string_view target,
                                 uint32_t uid, uint32_t gid) {
    if (target.empty()) return fail(ENOENT);
    if (target.size() > kMaxSymlinkBytes) return fail(ENAMETOOLONG);
    const NewNode node{S_IFLNK | 0777, uid, gid, 0, target};
    return impl_->with_space([&] { return make_node(*impl_, parent, name, node); });
}

static void init_record(InodeRecord& record, const NewNode& node, const InodeRecord& parent,
                        Ino parent_ino) {
    const bool is_dir = S_ISDIR(node.mode);
    const timespec now = current_time();
    record.mode = node.mode & (S_IFMT | 07777);
    record.nlink = is_dir ? 2 : 1;
    record.uid = node.uid;
    record.gid = node.gid;
    if ((parent.mode & S_ISGID) != 0) {
        record.gid = parent.gid;
        if (is_dir) record.mode = record.mode | S_ISGID;
    }
    record.atime_s = record.mtime_s = record.ctime_s = record.btime_s = now.tv_sec;
    record.atime_ns = record.mtime_ns = record.ctime_ns = record.btime_ns = uint32_t(now.tv_nsec);
    record.rdev = uint64_t(major(node.rdev)) << 32 | minor(node.rdev);
    if (is_dir) record.parent = parent_ino;
}

static Result<FileAttr> make_node(VolumeImpl& v, Ino parent, std::string_view name,
                                  const NewNode& node) {
    EXO_TRY(check_name(name));
    EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
    EXO_TRY_ASSIGN(const InodeTable::Ref dir, read_directory(*v.inodes, parent));
    if (dir->nlink == 0) return fail(ENOENT);
    Directory directory = v.directory(parent);
    EXO_TRY_ASSIGN(const auto existing, directory.find(name));
    if (existing) return fail(EEXIST);
    EXO_TRY_ASSIGN(const Ino ino, v.inodes->allocate(handle, node.mode));
    EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
    init_record(*record, node, *dir.record, parent);
    if (S_ISLNK(node.mode)) {
        record->size = node.target.size();
        Tree tree(*v.core, *v.inodes, ino);
        for (size_t at = 0; at < node.target.size(); at += kSymlinkPieceBytes)
            EXO_TRY(
                tree.insert(handle, at / kSymlinkPieceBytes,
                            std::as_bytes(std::span(node.target.substr(at, kSymlinkPieceBytes)))));
    }
    EXO_TRY(directory.insert(handle, name, ino, node.mode & S_IFMT));
    EXO_TRY_ASSIGN(InodeRecord * parent_record, v.inodes->modify(handle, parent));
    if (S_ISDIR(node.mode)) {
        if (parent_record->nlink == UINT32_MAX) return fail(EMLINK);
        parent_record->nlink = parent_record->nlink + 1;
    }
    touch(*parent_record, true);
    const uint64_t sequence = handle.sequence();
    v.states.changed(parent, sequence, true);
    EXO_TRY_ASSIGN(const InodeTable::Ref made, v.inodes->read(ino));
    const FileAttr attr = v.attr_of(ino, *made.record);
    v.take_ref(ino);
    handle.commit();
    return attr;
}

Result<FileAttr> Volume::create_unnamed(Ino parent, uint32_t mode, uint32_t uid, uint32_t gid) {
    VolumeImpl& v = *impl_;
    return v.with_space([&]() -> Result<FileAttr> {
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
        EXO_TRY_ASSIGN(const InodeTable::Ref dir, read_directory(*v.inodes, parent));
        const NewNode node{S_IFREG | (mode & 07777), uid, gid, 0, {}};
        EXO_TRY_ASSIGN(const Ino ino, v.inodes->allocate(handle, node.mode));
        EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
        init_record(*record, node, *dir.record, parent);
        record->nlink = 0;
        EXO_TRY(v.add_orphan(handle, ino, record));
        const FileAttr attr = v.attr_of(ino, *record);
        v.take_ref(ino);
        v.states.mark_orphan(ino);
        handle.commit();
        return attr;
    });
}

Result<FileAttr> Volume::link(Ino ino, Ino new_parent, std::string_view new_name) {
    VolumeImpl& v = *impl_;
    return v.with_space([&]() -> Result<FileAttr> {
        EXO_TRY(check_name(new_name));
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
        EXO_TRY_ASSIGN(const InodeTable::Ref dir, read_directory(*v.inodes, new_parent));
        if (dir->nlink == 0) return fail(ENOENT);
        EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
        if (S_ISDIR(record->mode)) return fail(EPERM);
        if (record->nlink == UINT32_MAX) return fail(EMLINK);
        Directory directory = v.directory(new_parent);
        EXO_TRY_ASSIGN(const auto existing, directory.find(new_name));
        if (existing) return fail(EEXIST);
        EXO_TRY(directory.insert(handle, new_name, ino, record->mode & S_IFMT));
        const bool was_orphan = record->nlink == 0;
        if (was_orphan) EXO_TRY(v.drop_orphan(handle, ino, record));
        record->nlink = record->nlink + 1;
        touch(*record, false);
        EXO_TRY_ASSIGN(InodeRecord * parent_record, v.inodes->modify(handle, new_parent));
        touch(*parent_record, true);
        const uint64_t sequence = handle.sequence();
        const FileAttr attr = v.attr_of(ino, *record);
        v.take_ref(ino);
        if (was_orphan) v.states.clear_orphan(ino);
        v.states.changed(ino, sequence, true);
        v.states.changed(new_parent, sequence, true);
        handle.commit();
        return attr;
    });
}

Result<> Volume::unlink(Ino parent, std::string_view name) {
    VolumeImpl& v = *impl_;
    EXO_TRY(check_name(name));
    Ino ino = 0;
    bool gone = false;
    auto operation = [&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
        EXO_TRY(read_directory(*v.inodes, parent));
        Directory directory = v.directory(parent, Purpose::kFreeing);
        EXO_TRY_ASSIGN(const auto entry, directory.find(name));
        if (!entry) return fail(ENOENT);
        ino = entry->ino;
        auto record = v.inodes->modify(handle, ino);
        if (!record)
            return record.error().code == ESTALE ? dangling(parent, name)
                                                 : std::unexpected(record.error());
        InodeRecord* file = *record;
        if (S_ISDIR(file->mode)) return fail(EISDIR);
        if (file->nlink == 0) return dangling(parent, name);
        EXO_TRY(directory.erase(handle, *entry));
        file->nlink = file->nlink - 1;
        touch(*file, false);
        gone = file->nlink == 0;
        if (gone) EXO_TRY(v.add_orphan(handle, ino, file));
        EXO_TRY_ASSIGN(InodeRecord * parent_record, v.inodes->modify(handle, parent));
        touch(*parent_record, true);
        const uint64_t sequence = handle.sequence();
        v.states.changed(parent, sequence, true);
        v.states.changed(ino, sequence, true);
        handle.commit();
        return {};
    };
    EXO_TRY(v.with_space(operation));
    if (gone && v.states.mark_orphan(ino)) v.destroy(ino);
    return {};
}

Result<> Volume::rmdir(Ino parent, std::string_view name) {
    VolumeImpl& v = *impl_;
    if (name == ".") return fail(EINVAL);
    if (name == "..") return fail(ENOTEMPTY);
    EXO_TRY(check_name(name));
    Ino ino = 0;
    auto operation = [&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
        EXO_TRY(read_directory(*v.inodes, parent));
        Directory directory = v.directory(parent, Purpose::kFreeing);
        EXO_TRY_ASSIGN(const auto entry, directory.find(name));
        if (!entry) return fail(ENOENT);
        ino = entry->ino;
        auto record = v.inodes->modify(handle, ino);
        if (!record)
            return record.error().code == ESTALE ? dangling(parent, name)
                                                 : std::unexpected(record.error());
        InodeRecord* dir = *record;
        if (!S_ISDIR(dir->mode)) return fail(ENOTDIR);
        EXO_TRY_ASSIGN(const bool empty, v.directory(ino).empty());
        if (!empty) return fail(ENOTEMPTY);
        EXO_TRY(directory.erase(handle, *entry));
        dir->nlink = 0;
        touch(*dir, false);
        EXO_TRY(v.add_orphan(handle, ino, dir));
        EXO_TRY_ASSIGN(InodeRecord * parent_record, v.inodes->modify(handle, parent));
        parent_record->nlink = parent_record->nlink - 1;
        touch(*parent_record, true);
        const uint64_t sequence = handle.sequence();
        v.states.changed(parent, sequence, true);
        v.states.changed(ino, sequence, true);
        handle.commit();
        return {};
    };
    EXO_TRY(v.with_space(operation));
    if (v.states.mark_orphan(ino)) v.destroy(ino);
    return {};
}

// EINVAL when `ancestor` is `ino` or above it: a directory cannot move below itself.
static Result<> check_not_below(InodeTable& inodes, Ino ino, Ino ancestor) {
    uint64_t steps = 0;
    for (Ino at = ino; at != kRootIno;) {
        if (at == ancestor) return fail(EINVAL);
        EXO_TRY_ASSIGN(const InodeTable::Ref dir, inodes.read(at));
        if (!S_ISDIR(dir->mode) || ++steps > inodes.used())
            return fail(EUCLEAN, "directory " + std::to_string(ino) +
                                     " does not lead to the root: run fsck.exo");
        at = dir->parent;
    }
    return ancestor == kRootIno ? Result<>(fail(EINVAL)) : Result<>();
}

Result<> Volume::rename(Ino parent, std::string_view name, Ino new_parent,
                        std::string_view new_name, RenameMode mode) {
    VolumeImpl& v = *impl_;
    EXO_TRY(check_name(name));
    EXO_TRY(check_name(new_name));
    Ino gone = 0;  // what lost its last link
    auto operation = [&]() -> Result<> {
        gone = 0;
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
        EXO_TRY(read_directory(*v.inodes, parent));
        EXO_TRY_ASSIGN(const InodeTable::Ref target_dir, read_directory(*v.inodes, new_parent));
        if (target_dir->nlink == 0) return fail(ENOENT);
        Directory from = v.directory(parent), to = v.directory(new_parent);
        EXO_TRY_ASSIGN(const auto source, from.find(name));
        if (!source) return fail(ENOENT);
        EXO_TRY_ASSIGN(const auto target, to.find(new_name));
        if (mode == RenameMode::kNoReplace && target) return fail(EEXIST);
        if (mode == RenameMode::kExchange && !target) return fail(ENOENT);
        if (target && target->ino == source->ino) return {};

        auto moved = v.inodes->modify(handle, source->ino);
        if (!moved) return dangling(parent, name);
        InodeRecord* file = *moved;
        const bool file_is_dir = S_ISDIR(file->mode);
        InodeRecord* other = nullptr;
        bool other_is_dir = false;
        if (target) {
            auto record = v.inodes->modify(handle, target->ino);
            if (!record) return dangling(new_parent, new_name);
            other = *record;
            other_is_dir = S_ISDIR(other->mode);
        }
        if (parent != new_parent) {
            if (file_is_dir) EXO_TRY(check_not_below(*v.inodes, new_parent, source->ino));
            if (other_is_dir && mode == RenameMode::kExchange)
                EXO_TRY(check_not_below(*v.inodes, parent, target->ino));
        }
        int parent_links = 0, new_parent_links = 0;
        if (mode == RenameMode::kExchange) {
            EXO_TRY(from.replace(handle, *source, target->ino, other->mode & S_IFMT));
            EXO_TRY(to.replace(handle, *target, source->ino, file->mode & S_IFMT));
            parent_links += int(other_is_dir) - int(file_is_dir);
            new_parent_links += int(file_is_dir) - int(other_is_dir);
            if (other_is_dir) other->parent = parent;
        } else {
            if (target) {
                if (file_is_dir && !other_is_dir) return fail(ENOTDIR);
                if (!file_is_dir && other_is_dir) return fail(EISDIR);
                if (other_is_dir) {
                    EXO_TRY_ASSIGN(const bool empty, v.directory(target->ino).empty());
                    if (!empty) return fail(ENOTEMPTY);
                    other->nlink = 0;
                    new_parent_links--;
                } else {
                    if (other->nlink == 0) return dangling(new_parent, new_name);
                    other->nlink = other->nlink - 1;
                }
                EXO_TRY(to.replace(handle, *target, source->ino, file->mode & S_IFMT));
                if (other->nlink == 0) {
                    gone = target->ino;
                    EXO_TRY(v.add_orphan(handle, gone, other));
                }
            } else {
                EXO_TRY(to.insert(handle, new_name, source->ino, file->mode & S_IFMT));
            }
            EXO_TRY(from.erase(handle, *source));
            parent_links -= file_is_dir;
            new_parent_links += file_is_dir;
        }
        if (file_is_dir) file->parent = new_parent;
        touch(*file, false);
        if (other) touch(*other, false);
        EXO_TRY_ASSIGN(InodeRecord * old_dir, v.inodes->modify(handle, parent));
        old_dir->nlink = uint32_t(old_dir->nlink + parent_links);
        touch(*old_dir, true);
        EXO_TRY_ASSIGN(InodeRecord * new_dir, v.inodes->modify(handle, new_parent));
        new_dir->nlink = uint32_t(new_dir->nlink + new_parent_links);
        touch(*new_dir, true);
        const uint64_t sequence = handle.sequence();
        for (Ino ino : {parent, new_parent, source->ino, target ? target->ino : source->ino})
            v.states.changed(ino, sequence, true);
        handle.commit();
        return {};
    };
    EXO_TRY(v.with_space(operation));
    if (gone != 0 && v.states.mark_orphan(gone)) v.destroy(gone);
    return {};
}

Result<std::string> Volume::readlink(Ino ino) {
    VolumeImpl& v = *impl_;
    auto reader = v.journal->reader();
    EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
    if (!S_ISLNK(ref->mode)) return fail(EINVAL);
    std::string target;
    EXO_TRY(Tree(*v.core, *v.inodes, ino).scan(0, [&](uint64_t, std::span<const std::byte> piece) {
        target.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return target.size() <= kMaxSymlinkBytes;
    }));
    if (target.size() != ref->size || target.empty() || target.size() > kMaxSymlinkBytes ||
        target.find('\0') != target.npos)
        return fail(EUCLEAN,
                    "symlink " + std::to_string(ino) + " has a malformed target: run fsck.exo");
    return target;
}

static Result<std::vector<DirEntry>> list(VolumeImpl& v, Ino dir, uint64_t cookie,
                                          size_t max_entries, bool plus) {
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
    if (entries.size() >= max_entries) return entries;
    EXO_TRY_ASSIGN(auto found, v.directory(dir).list(std::max<uint64_t>(cookie, kFirstEntryKey - 1),
                                                     max_entries - entries.size()));
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
}

Result<std::vector<DirEntry>> Volume::readdir(Ino dir, uint64_t cookie, size_t max_entries) {
    return list(*impl_, dir, cookie, max_entries, false);
}

Result<std::vector<DirEntry>> Volume::readdir_plus(Ino dir, uint64_t cookie, size_t max_entries) {
    return list(*impl_, dir, cookie, max_entries, true);
}

}  // namespace exo
