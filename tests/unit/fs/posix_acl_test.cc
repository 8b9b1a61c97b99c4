// SPDX-License-Identifier: MIT
// ACL arithmetic, against what acl(5) says and the kernel does.
#include "fs/volume/posix_acl.h"

#include <doctest/doctest.h>

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
