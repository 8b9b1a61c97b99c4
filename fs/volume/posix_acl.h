// SPDX-License-Identifier: MIT
// POSIX access control lists as the kernel hands them over in extended attributes: reading and
// writing them, and their arithmetic with permission bits. Who stores them where is in xattrs.cc;
// the kernel checks access with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "fs/base/result.h"

namespace exo {

inline constexpr std::string_view kAclAccessName = "system.posix_acl_access";
inline constexpr std::string_view kAclDefaultName = "system.posix_acl_default";

inline constexpr size_t kMaxAclBytes = 4096;  // what the kernel's FUSE can pass on

enum AclTag : uint16_t {
    kAclUserObj = 0x01,
    kAclUser = 0x02,
    kAclGroupObj = 0x04,
    kAclGroup = 0x08,
    kAclMask = 0x10,
    kAclOther = 0x20,
};

struct AclEntry {
    uint16_t tag;
    uint16_t perm;  // rwx
    uint32_t id;    // of kAclUser and kAclGroup
    bool operator==(const AclEntry&) const = default;
};
using Acl = std::vector<AclEntry>;  // in the kernel's order

// EINVAL when malformed, EOPNOTSUPP for a version that is not the kernel's. No entries: no ACL.
Result<Acl> parse_acl(std::span<const std::byte> value);
std::vector<std::byte> encode_acl(const Acl& acl);

// The functions below REQUIRE an ACL that parse_acl() accepted and that has entries.

// Sets the permission bits of `mode` to what the ACL gives. False: they say it all, and the ACL
// need not be kept.
bool acl_to_mode(const Acl& acl, uint32_t& mode);
// Makes a directory's default ACL the access ACL of something created in it: each limits the other.
// Returns as acl_to_mode().
bool inherit_acl(Acl& acl, uint32_t& mode);
// Who asks, of a file with an owner and a group.
// in_group(gid) is only asked for groups that the ACL or the file names.
struct AclUser {
    uint32_t uid;
    std::function<bool(uint32_t gid)> in_group;
};
// Whether the user may do what these rwx bits say, by the algorithm of acl(5).
bool acl_permits(const Acl& acl, const AclUser& user, uint32_t owner, uint32_t group,
                 uint16_t wanted);
// chmod: gives the owner, the mask (or the group) and others the bits of the mode.
void chmod_acl(Acl& acl, uint32_t mode);

}  // namespace exo
