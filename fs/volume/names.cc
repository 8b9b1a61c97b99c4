// SPDX-License-Identifier: MIT
// Names of inodes that are there: lookup, link, removal, renaming. Each change is one handle, so
// each happens in full or not at all. What makes inodes is in create.cc.
#include "fs/volume/impl.h"

namespace exo {

Result<InodeTable::Ref> read_directory(InodeTable& inodes, Ino ino) {
    EXO_TRY_ASSIGN(InodeTable::Ref ref, inodes.read(ino));
    if (!S_ISDIR(ref->mode)) return fail(ENOTDIR);
    return ref;
}

std::unexpected<Error> dangling(Ino dir, std::string_view name) {
    return fail(EUCLEAN, "entry \"" + std::string(name) + "\" of directory " + std::to_string(dir) +
                             " names an inode that is not in use: run fsck.exo");
}

Result<> check_name(std::string_view name) {
    if (name.size() > kMaxNameBytes) return fail(ENAMETOOLONG);
    if (name.empty()) return fail(ENOENT);
    if (!name_valid(name)) return fail(EINVAL);
    return {};
}

Result<FileAttr> Volume::lookup(Ino parent, std::string_view name) {
    VolumeImpl& v = *impl_;
    if (name.size() > kMaxNameBytes) return fail(ENAMETOOLONG);
    return v.look([&]() -> Result<FileAttr> {
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
            return ref.error().code == ESTALE ? dangling(parent, name)
                                              : std::unexpected(ref.error());
        v.take_ref(ino);
        return v.attr_of(ino, *ref->record);
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

namespace {
// The name's inode, its record ready to be changed.
Result<InodeRecord*> modify_named(VolumeImpl& v, Handle& handle, Ino parent, const Entry& entry) {
    auto record = v.inodes->modify(handle, entry.ino);
    if (!record)
        return record.error().code == ESTALE ? dangling(parent, entry.name)
                                             : std::unexpected(record.error());
    if ((*record)->nlink == 0) return dangling(parent, entry.name);
    return record;
}

// What unlink and rmdir share.
Result<> remove_name(VolumeImpl& v, Ino parent, std::string_view name, bool directory_wanted) {
    EXO_TRY(check_name(name));
    Ino ino = 0;
    bool gone = false;
    EXO_TRY(v.with_space([&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
        EXO_TRY(read_directory(*v.inodes, parent));
        Directory directory = v.directory(parent, Purpose::kFreeing);
        EXO_TRY_ASSIGN(const auto entry, directory.find(name));
        if (!entry) return fail(ENOENT);
        ino = entry->ino;
        EXO_TRY_ASSIGN(InodeRecord * record, modify_named(v, handle, parent, *entry));
        const bool is_directory = S_ISDIR(record->mode);
        if (is_directory != directory_wanted) return fail(is_directory ? EISDIR : ENOTDIR);
        if (is_directory) {
            EXO_TRY_ASSIGN(const bool empty, v.directory(ino).empty());
            if (!empty) return fail(ENOTEMPTY);
        }
        EXO_TRY(directory.erase(handle, *entry));
        record->nlink = is_directory ? 0 : record->nlink - 1;
        touch(*record, false);
        gone = record->nlink == 0;
        if (gone) EXO_TRY(v.add_orphan(handle, ino, record));
        EXO_TRY_ASSIGN(InodeRecord * parent_record, v.inodes->modify(handle, parent));
        parent_record->nlink = parent_record->nlink - uint32_t(is_directory);
        touch(*parent_record, true);
        const uint64_t sequence = handle.sequence();
        v.states.changed(parent, sequence, true);
        v.states.changed(ino, sequence, true);
        handle.commit();
        return {};
    }));
    if (gone && v.states.mark_orphan(ino)) v.destroy(ino);
    return {};
}
}  // namespace

Result<> Volume::unlink(Ino parent, std::string_view name) {
    return remove_name(*impl_, parent, name, false);
}

Result<> Volume::rmdir(Ino parent, std::string_view name) {
    if (name == ".") return fail(EINVAL);
    if (name == "..") return fail(ENOTEMPTY);
    return remove_name(*impl_, parent, name, true);
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

        EXO_TRY_ASSIGN(InodeRecord * file, modify_named(v, handle, parent, *source));
        const bool file_is_dir = S_ISDIR(file->mode);
        InodeRecord* other = nullptr;
        bool other_is_dir = false;
        if (target) {
            EXO_TRY_ASSIGN(other, modify_named(v, handle, new_parent, *target));
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

}  // namespace exo
