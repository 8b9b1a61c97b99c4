// SPDX-License-Identifier: MIT
// Operations that make inodes. Each is one handle, so each happens in full or not at all.
#include <sys/sysmacros.h>

#include "fs/volume/impl.h"

namespace exo {

namespace {
struct NewNode {
    uint32_t mode, uid, gid;
    uint64_t rdev = 0;
    uint32_t umask = 0;
    std::string_view target = {};  // of a symlink
};

void init_record(InodeRecord& record, const NewNode& node, const InodeRecord& parent,
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

// Initialises the record, with what the directory's default ACL or the umask makes of the mode.
Result<> fill_node(VolumeImpl& v, Handle& handle, Ino ino, const NewNode& node,
                   const InodeRecord& parent, Ino parent_ino) {
    EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
    init_record(*record, node, parent, parent_ino);
    if (S_ISLNK(node.mode)) return {};
    EXO_TRY_ASSIGN(Acl acl, v.read_acl(parent_ino, kAclDefaultName));
    if (acl.empty()) {
        record->mode = record->mode & ~(node.umask & 0777);
        return {};
    }
    const auto inherited = encode_acl(acl);
    uint32_t mode = record->mode;
    const bool stored = inherit_acl(acl, mode);
    record->mode = mode;
    if (stored) EXO_TRY(v.put_attribute(handle, ino, kAclAccessName, encode_acl(acl)));
    if (S_ISDIR(node.mode)) EXO_TRY(v.put_attribute(handle, ino, kAclDefaultName, inherited));
    return {};
}

Result<FileAttr> make_node(VolumeImpl& v, Ino parent, std::string_view name, const NewNode& node) {
    EXO_TRY(check_name(name));
    EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
    EXO_TRY_ASSIGN(const InodeTable::Ref dir, read_directory(*v.inodes, parent));
    if (dir->nlink == 0) return fail(ENOENT);
    Directory directory = v.directory(parent);
    EXO_TRY_ASSIGN(const auto existing, directory.find(name));
    if (existing) return fail(EEXIST);
    EXO_TRY_ASSIGN(const Ino ino, v.inodes->allocate(handle, node.mode));
    EXO_TRY(fill_node(v, handle, ino, node, *dir.record, parent));
    if (S_ISLNK(node.mode)) {
        EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
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
}  // namespace

Result<FileAttr> Volume::create(Ino parent, std::string_view name, uint32_t mode, uint32_t uid,
                                uint32_t gid, uint64_t rdev, uint32_t umask) {
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
    const NewNode node{mode, uid, gid, rdev, umask};
    return impl_->with_space([&] { return make_node(*impl_, parent, name, node); });
}

Result<FileAttr> Volume::mkdir(Ino parent, std::string_view name, uint32_t mode, uint32_t uid,
                               uint32_t gid, uint32_t umask) {
    const NewNode node{S_IFDIR | (mode & 07777), uid, gid, 0, umask};
    return impl_->with_space([&] { return make_node(*impl_, parent, name, node); });
}

Result<FileAttr> Volume::symlink(Ino parent, std::string_view name, std::string_view target,
                                 uint32_t uid, uint32_t gid) {
    if (target.empty()) return fail(ENOENT);
    if (target.size() > kMaxSymlinkBytes) return fail(ENAMETOOLONG);
    const NewNode node{S_IFLNK | 0777, uid, gid, 0, 0, target};
    return impl_->with_space([&] { return make_node(*impl_, parent, name, node); });
}

Result<FileAttr> Volume::create_unnamed(Ino parent, uint32_t mode, uint32_t uid, uint32_t gid,
                                        uint32_t umask) {
    VolumeImpl& v = *impl_;
    return v.with_space([&]() -> Result<FileAttr> {
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
        EXO_TRY_ASSIGN(const InodeTable::Ref dir, read_directory(*v.inodes, parent));
        const NewNode node{S_IFREG | (mode & 07777), uid, gid, 0, umask};
        EXO_TRY_ASSIGN(const Ino ino, v.inodes->allocate(handle, node.mode));
        EXO_TRY(fill_node(v, handle, ino, node, *dir.record, parent));
        EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
        record->nlink = 0;
        EXO_TRY(v.add_orphan(handle, ino, record));
        const FileAttr attr = v.attr_of(ino, *record);
        v.take_ref(ino);
        v.states.mark_orphan(ino);
        handle.commit();
        return attr;
    });
}

}  // namespace exo
