// SPDX-License-Identifier: MIT
#include "fs/volume/posix_acl.h"

#include <algorithm>
#include <cstring>

#include "fs/base/le.h"

namespace exo {

namespace {
constexpr uint32_t kVersion = 2;
constexpr uint32_t kNoId = UINT32_MAX;

struct RawEntry {
    le16 tag;
    le16 perm;
    le32 id;
};
static_assert(sizeof(RawEntry) == 8);

// Exactly one owner, group and others, sorted by tag, and a mask when anybody is named.
bool valid(const Acl& acl) {
    unsigned owners = 0, groups = 0, others = 0, masks = 0, named = 0;
    uint16_t last = 0;
    for (const AclEntry& entry : acl) {
        if (entry.perm > 7 || entry.tag < last) return false;
        last = entry.tag;
        switch (entry.tag) {
            case kAclUserObj:
                owners++;
                break;
            case kAclGroupObj:
                groups++;
                break;
            case kAclOther:
                others++;
                break;
            case kAclMask:
                masks++;
                break;
            case kAclUser:
            case kAclGroup:
                if (entry.id == kNoId) return false;
                named++;
                break;
            default:
                return false;
        }
    }
    return owners == 1 && groups == 1 && others == 1 && masks <= 1 && (named == 0 || masks == 1);
}

template <typename List>
auto* find_tag(List& acl, AclTag tag) {
    const auto it = std::ranges::find(acl, uint16_t(tag), &AclEntry::tag);
    return it == acl.end() ? nullptr : &*it;
}

// For the entries that every valid ACL has: owner, owning group and others.
template <typename List>
auto& basic_entry(List& acl, AclTag tag) {
    return *std::ranges::find(acl, uint16_t(tag), &AclEntry::tag);
}

// The entry that the group bits of the mode stand for.
template <typename List>
auto& group_class(List& acl) {
    auto* mask = find_tag(acl, kAclMask);
    return mask ? *mask : basic_entry(acl, kAclGroupObj);
}

bool says_more_than_mode(const Acl& acl) {
    return acl.size() > 3;
}
}  // namespace

Result<Acl> parse_acl(std::span<const std::byte> value) {
    le32 version;
    if (value.size() < sizeof version) return fail(EINVAL);
    memcpy(&version, value.data(), sizeof version);
    if (version != kVersion) return fail(EOPNOTSUPP);
    value = value.subspan(sizeof version);
    if (value.size() % sizeof(RawEntry) != 0) return fail(EINVAL);
    Acl acl;
    for (size_t at = 0; at < value.size(); at += sizeof(RawEntry)) {
        RawEntry raw;
        memcpy(&raw, value.data() + at, sizeof raw);
        const bool named = raw.tag == kAclUser || raw.tag == kAclGroup;
        acl.push_back({raw.tag, raw.perm, named ? uint32_t(raw.id) : kNoId});
    }
    if (!acl.empty() && !valid(acl)) return fail(EINVAL);
    return acl;
}

std::vector<std::byte> encode_acl(const Acl& acl) {
    le32 version;
    version = kVersion;
    std::vector<std::byte> value(sizeof version + acl.size() * sizeof(RawEntry));
    memcpy(value.data(), &version, sizeof version);
    for (size_t i = 0; i < acl.size(); i++) {
        RawEntry raw;
        raw.tag = acl[i].tag;
        raw.perm = acl[i].perm;
        raw.id = acl[i].id;
        memcpy(value.data() + sizeof version + i * sizeof raw, &raw, sizeof raw);
    }
    return value;
}

bool acl_to_mode(const Acl& acl, uint32_t& mode) {
    mode = (mode & ~0777u) | uint32_t(basic_entry(acl, kAclUserObj).perm) << 6 |
           uint32_t(group_class(acl).perm) << 3 | basic_entry(acl, kAclOther).perm;
    return says_more_than_mode(acl);
}

bool inherit_acl(Acl& acl, uint32_t& mode) {
    auto limit = [&](AclEntry& entry, unsigned shift) {
        entry.perm = uint16_t(entry.perm & (mode >> shift & 7));
    };
    limit(basic_entry(acl, kAclUserObj), 6);
    limit(group_class(acl), 3);
    limit(basic_entry(acl, kAclOther), 0);
    return acl_to_mode(acl, mode);
}

bool acl_permits(const Acl& acl, const AclUser& user, uint32_t owner, uint32_t group,
                 uint16_t wanted) {
    const AclEntry* mask = find_tag(acl, kAclMask);
    const auto gives = [&](const AclEntry& entry, bool masked) {
        return (entry.perm & (masked && mask ? mask->perm : 7) & wanted) == wanted;
    };
    if (user.uid == owner) return gives(basic_entry(acl, kAclUserObj), false);
    for (const AclEntry& entry : acl)
        if (entry.tag == kAclUser && entry.id == user.uid) return gives(entry, true);
    // Of the groups that the user is in, one must give it; if there is none, others count.
    bool member = false;
    for (const AclEntry& entry : acl) {
        if (entry.tag != kAclGroupObj && entry.tag != kAclGroup) continue;
        if (!user.in_group(entry.tag == kAclGroup ? entry.id : group)) continue;
        if (gives(entry, true)) return true;
        member = true;
    }
    return !member && gives(basic_entry(acl, kAclOther), false);
}

void chmod_acl(Acl& acl, uint32_t mode) {
    basic_entry(acl, kAclUserObj).perm = uint16_t(mode >> 6 & 7);
    group_class(acl).perm = uint16_t(mode >> 3 & 7);
    basic_entry(acl, kAclOther).perm = uint16_t(mode & 7);
}

}  // namespace exo
