// SPDX-License-Identifier: MIT
// Extended attributes: namespaces, limits, and the two names which are POSIX ACLs and so have to do
// with the mode bits.
#include <algorithm>

#include "fs/volume/impl.h"
#include "fs/volume/posix_acl.h"

namespace exo {

namespace {
bool is_acl(std::string_view name) {
    return name == kAclAccessName || name == kAclDefaultName;
}

Result<> check_attribute_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxAttributeNameBytes ||
        name.find('\0') != std::string_view::npos)
        return fail(ERANGE);
    if (is_acl(name)) return {};
    for (const std::string_view prefix : {"user.", "trusted.", "security."}) {
        if (!name.starts_with(prefix)) continue;
        return name.size() > prefix.size() ? Result<>() : fail(EINVAL);
    }
    return fail(EOPNOTSUPP);
}

// Bytes that a listing takes. It must fit into what listxattr(2) can return.
Result<size_t> list_bytes(const Attributes& attributes) {
    size_t bytes = 0;
    EXO_TRY(attributes.for_each([&](std::string_view name, std::span<const std::byte>) {
        bytes += name.size() + 1;
        return true;
    }));
    return bytes;
}
}  // namespace

Result<> VolumeImpl::put_attribute(Handle& handle, Ino ino, std::string_view name,
                                   std::span<const std::byte> value) {
    Attributes attributes(*core, *inodes, ino);
    EXO_TRY_ASSIGN(const bool replaced, attributes.erase(handle, name));
    if (!replaced) {
        EXO_TRY_ASSIGN(const size_t listed, list_bytes(attributes));
        if (listed + name.size() + 1 > kMaxXattrListBytes) return fail(ENOSPC);
    }
    return attributes.insert(handle, name, value);
}

Result<Acl> VolumeImpl::read_acl(Ino ino, std::string_view name) {
    EXO_TRY_ASSIGN(const auto value, Attributes(*core, *inodes, ino).get(name));
    if (!value) return Acl();
    auto acl = parse_acl(*value);
    if (!acl || acl->empty())
        return fail(EUCLEAN, "inode " + std::to_string(ino) + " has a malformed " +
                                 std::string(name) + ": run fsck.exo");
    return acl;
}

Result<> VolumeImpl::chmod_record(Handle& handle, Ino ino, InodeRecord* record, uint32_t mode) {
    record->mode = (record->mode & S_IFMT) | (mode & 07777);
    EXO_TRY_ASSIGN(Acl acl, read_acl(ino, kAclAccessName));
    if (acl.empty()) return {};
    chmod_acl(acl, mode);
    return put_attribute(handle, ino, kAclAccessName, encode_acl(acl));
}

Result<> Volume::set_xattr(Ino ino, std::string_view name, std::span<const std::byte> value,
                           XattrMode mode, bool clear_sgid) {
    VolumeImpl& v = *impl_;
    EXO_TRY(check_attribute_name(name));
    if (value.size() > kMaxXattrBytes) return fail(E2BIG);
    const bool acl_name = is_acl(name);
    Acl acl;
    if (acl_name) {
        if (value.size() > kMaxAclBytes) return fail(E2BIG);
        EXO_TRY_ASSIGN(acl, parse_acl(value));
        if (acl.empty()) return remove_xattr(ino, name);
    }
    return v.with_space([&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin(kAttributeCredits));
        EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
        Attributes attributes(*v.core, *v.inodes, ino);
        bool stored = true;
        if (acl_name) {
            if (S_ISLNK(record->mode)) return fail(EOPNOTSUPP);
            if (name == kAclDefaultName && !S_ISDIR(record->mode)) return fail(EACCES);
        } else {
            EXO_TRY_ASSIGN(const auto old, attributes.get(name));
            if (mode == XattrMode::kCreate && old) return fail(EEXIST);
            if (mode == XattrMode::kReplace && !old) return fail(ENODATA);
        }
        if (name == kAclAccessName) {
            uint32_t bits = record->mode;
            stored = acl_to_mode(acl, bits);
            if (clear_sgid) bits &= ~uint32_t(S_ISGID);
            record->mode = bits;
        }
        if (!stored) {
            EXO_TRY(attributes.erase(handle, name));
        } else if (acl_name) {
            EXO_TRY(v.put_attribute(handle, ino, name, encode_acl(acl)));
        } else {
            EXO_TRY(v.put_attribute(handle, ino, name, value));
        }
        EXO_TRY_ASSIGN(record, v.inodes->modify(handle, ino));
        touch(*record, false);
        v.states.changed(ino, handle.sequence(), false);
        handle.commit();
        return {};
    });
}

Result<> Volume::remove_xattr(Ino ino, std::string_view name) {
    VolumeImpl& v = *impl_;
    EXO_TRY(check_attribute_name(name));
    return v.with_space([&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin(kAttributeCredits));
        EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
        EXO_TRY_ASSIGN(const bool found,
                       Attributes(*v.core, *v.inodes, ino, Purpose::kFreeing).erase(handle, name));
        if (!found && is_acl(name)) return {};  // as the kernel's own: no ACL is what was wanted
        if (!found) return fail(ENODATA);
        touch(*record, false);
        v.states.changed(ino, handle.sequence(), false);
        handle.commit();
        return {};
    });
}

Result<std::vector<std::byte>> Volume::get_xattr(Ino ino, std::string_view name) {
    VolumeImpl& v = *impl_;
    EXO_TRY(check_attribute_name(name));
    return v.look([&]() -> Result<std::vector<std::byte>> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(auto value, Attributes(*v.core, *v.inodes, ino).get(name));
        if (!value) return fail(ENODATA);
        return std::move(*value);
    });
}

Result<std::string> Volume::list_xattr(Ino ino) {
    VolumeImpl& v = *impl_;
    return v.look([&]() -> Result<std::string> {
        auto reader = v.journal->reader();
        std::string names;
        EXO_TRY(Attributes(*v.core, *v.inodes, ino)
                    .for_each([&](std::string_view name, std::span<const std::byte>) {
                        names.append(name).push_back('\0');
                        return true;
                    }));
        return names;
    });
}

}  // namespace exo
