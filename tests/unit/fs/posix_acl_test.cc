// SPDX-License-Identifier: MIT
// ACL arithmetic, against what acl(5) says and the kernel does.
#include "fs/volume/posix_acl.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace exo;

namespace {
// user::rwx user:7:rw- group::r-x mask::rwx other::--x
Acl named_acl() {
    return {{kAclUserObj, 7, UINT32_MAX},
            {kAclUser, 6, 7},
            {kAclGroupObj, 5, UINT32_MAX},
            {kAclMask, 7, UINT32_MAX},
            {kAclOther, 1, UINT32_MAX}};
}
Acl plain_acl() {
    return {
        {kAclUserObj, 6, UINT32_MAX}, {kAclGroupObj, 4, UINT32_MAX}, {kAclOther, 0, UINT32_MAX}};
}
int code_of(std::vector<std::byte> value) {
    const auto acl = parse_acl(value);
    return acl ? 0 : acl.error().code;
}
int code_of(const Acl& acl) {
    return code_of(encode_acl(acl));
}
}  // namespace

TEST_CASE("an ACL survives encoding, in the kernel's bytes") {
    const auto value = encode_acl(named_acl());
    REQUIRE(value.size() == 4 + 5 * 8);
    CHECK(value[0] == std::byte{2});
    CHECK(value[4] == std::byte{kAclUserObj});
    CHECK(value[4 + 8] == std::byte{kAclUser});
    CHECK(value[4 + 8 + 4] == std::byte{7});
    CHECK(*parse_acl(value) == named_acl());
    CHECK(parse_acl(encode_acl({}))->empty());
}

TEST_CASE("malformed ACLs are refused") {
    CHECK(code_of(std::vector<std::byte>(3)) == EINVAL);
    CHECK(code_of(std::vector<std::byte>(4)) == EOPNOTSUPP);  // version 0
    auto value = encode_acl(plain_acl());
    value.pop_back();
    CHECK(code_of(value) == EINVAL);
    CHECK(code_of(plain_acl()) == 0);
    for (size_t without = 0; without < 3; without++) {
        Acl acl = plain_acl();
        acl.erase(acl.begin() + long(without));
        CHECK(code_of(acl) == EINVAL);
    }
    Acl acl = named_acl();
    std::swap(acl[1], acl[2]);
    CHECK(code_of(acl) == EINVAL);  // order
    acl = named_acl();
    acl.erase(acl.begin() + 3);
    CHECK(code_of(acl) == EINVAL);  // somebody is named, so there must be a mask
    acl = named_acl();
    acl[1].perm = 8;
    CHECK(code_of(acl) == EINVAL);
    acl = named_acl();
    acl[1].id = UINT32_MAX;
    CHECK(code_of(acl) == EINVAL);
    acl = named_acl();
    acl.push_back(acl.back());
    CHECK(code_of(acl) == EINVAL);
    acl = named_acl();
    acl[1].tag = 0x40;
    CHECK(code_of(acl) == EINVAL);
}

TEST_CASE("an ACL sets the mode; the mask stands for the group") {
    uint32_t mode = 0104000;
    CHECK(acl_to_mode(named_acl(), mode));
    CHECK(mode == 0104771);
    CHECK_FALSE(acl_to_mode(plain_acl(), mode));
    CHECK(mode == 0104640);
}

TEST_CASE("an inherited ACL and the mode limit each other") {
    Acl acl = named_acl();
    uint32_t mode = 0100664;
    CHECK(inherit_acl(acl, mode));
    CHECK(mode == 0100660);   // others: 1 & 4
    CHECK(acl[0].perm == 6);  // owner
    CHECK(acl[1].perm == 6);  // a named user stays, the mask limits
    CHECK(acl[2].perm == 5);  // so does the group
    CHECK(acl[3].perm == 6);
    acl = plain_acl();
    mode = 0100777;
    CHECK_FALSE(inherit_acl(acl, mode));
    CHECK(mode == 0100640);
}

TEST_CASE("chmod goes to the owner, the mask and others") {
    Acl acl = named_acl();
    chmod_acl(acl, 0421);
    CHECK(acl[0].perm == 4);
    CHECK(acl[2].perm == 5);
    CHECK(acl[3].perm == 2);
    CHECK(acl[4].perm == 1);
    acl = plain_acl();
    chmod_acl(acl, 0753);
    CHECK(acl[1].perm == 5);
}

TEST_CASE("an ACL permits what acl(5) says") {
    // Owner 1, group 10.
    const auto may = [](const Acl& acl, uint32_t uid, std::vector<uint32_t> groups, int wanted) {
        const AclUser user{uid, [&](uint32_t gid) { return std::ranges::count(groups, gid) > 0; }};
        return acl_permits(acl, user, 1, 10, uint16_t(wanted));
    };
    CHECK(may(plain_acl(), 1, {}, 6));
    CHECK(!may(plain_acl(), 1, {}, 1));
    CHECK(may(plain_acl(), 2, {10}, 4));
    CHECK(!may(plain_acl(), 2, {10}, 2));
    CHECK(!may(plain_acl(), 2, {11}, 4));
    Acl acl = {{kAclUserObj, 4, UINT32_MAX},  {kAclUser, 2, 1},          {kAclUser, 6, 2},
               {kAclGroupObj, 1, UINT32_MAX}, {kAclGroup, 2, 11},        {kAclGroup, 4, 12},
               {kAclMask, 3, UINT32_MAX},     {kAclOther, 7, UINT32_MAX}};
    CHECK(!may(acl, 1, {11}, 2));      // the owner's entry alone counts for the owner
    CHECK(may(acl, 1, {}, 4));         // and no mask
    CHECK(may(acl, 2, {}, 2));         // a named user, within the mask
    CHECK(!may(acl, 2, {11}, 4));      // and not outside of it, whatever the groups
    CHECK(may(acl, 3, {10, 11}, 2));   // any of the groups that gives it
    CHECK(!may(acl, 3, {10, 11}, 3));  // one must give all of it
    CHECK(!may(acl, 3, {12}, 4));      // masked
    CHECK(!may(acl, 3, {12}, 1));      // who is in a group is no other
    CHECK(may(acl, 3, {13}, 7));       // others, without the mask
}
