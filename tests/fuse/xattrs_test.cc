// SPDX-License-Identifier: MIT
// Extended attributes and POSIX ACLs through the mount: names, sizes, flags, rights, and that the
// kernel checks access by ACLs which new files inherit.
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>

#include <algorithm>
#include <set>
#include <vector>

#include "fs/base/unique_fd.h"
#include "tests/fuse/posix.h"

using namespace exo;
using namespace exo::test;

namespace {

std::set<std::string> names_of(const std::string& path) {
    std::string list(XATTR_LIST_MAX, 0);
    const ssize_t n = listxattr(path.c_str(), list.data(), list.size());
    REQUIRE(n >= 0);
    std::set<std::string> names;
    for (size_t at = 0; at < size_t(n); at += strlen(list.c_str() + at) + 1)
        names.insert(list.c_str() + at);
    return names;
}

std::string value_of(const std::string& path, const char* name) {
    std::string value(XATTR_SIZE_MAX, 0);
    const ssize_t n = getxattr(path.c_str(), name, value.data(), value.size());
    return n < 0 ? name_of_errno(errno) : value.substr(0, size_t(n));
}

int set(const std::string& path, const char* name, const std::string& value, int flags = 0) {
    return setxattr(path.c_str(), name, value.data(), value.size(), flags);
}

// An ACL as the kernel takes it: version, then (tag, permissions, id).
struct AclEntry {
    uint16_t tag, permissions;
    uint32_t id;
};
constexpr uint16_t kUserObj = 1, kUser = 2, kGroupObj = 4, kMask = 16, kOther = 32;
std::string acl(const std::vector<AclEntry>& entries) {
    const uint32_t version = 2;
    std::string value(reinterpret_cast<const char*>(&version), sizeof version);
    for (const AclEntry& entry : entries)
        value.append(reinterpret_cast<const char*>(&entry), sizeof entry);
    return value;
}
constexpr uint32_t kNoId = UINT32_MAX;
// rw for the owner, `rights` for Alice, nothing for others.
std::string alice_may(uint16_t rights) {
    return acl({{kUserObj, 6, kNoId},
                {kUser, rights, kAlice},
                {kGroupObj, 0, kNoId},
                {kMask, 7, kNoId},
                {kOther, 0, kNoId}});
}
constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";

int try_open(const std::string& path, int flags) {
    const unique_fd fd(open(path.c_str(), flags));
    return fd ? 0 : -1;
}

}  // namespace

TEST_CASE("attributes are set, replaced, listed, removed, and survive a remount") {
    const Folder folder;
    const std::string path = folder / "f";
    REQUIRE(write_file(path, "x"));
    CHECK(names_of(path).empty());
    CHECK_ERRNO(set(path, "user.a", "one"), 0);
    CHECK_ERRNO(set(path, "user.b", ""), 0);
    CHECK_ERRNO(set(path, "trusted.c", std::string("\0binary", 7)), 0);
    CHECK_ERRNO(set(path, "security.d", "label"), 0);
    CHECK(names_of(path) == std::set<std::string>{"user.a", "user.b", "trusted.c", "security.d"});
    CHECK_ERRNO(set(path, "user.a", "again", XATTR_CREATE), EEXIST);
    CHECK_ERRNO(set(path, "user.x", "again", XATTR_REPLACE), ENODATA);
    CHECK_ERRNO(set(path, "user.a", "two", XATTR_REPLACE), 0);
    CHECK(value_of(path, "user.a") == "two");
    CHECK(value_of(path, "user.b").empty());
    CHECK(value_of(path, "user.none") == "ENODATA");
    char small[2];
    CHECK_ERRNO(getxattr(path.c_str(), "user.a", small, sizeof small), ERANGE);
    CHECK_ERRNO(listxattr(path.c_str(), small, sizeof small), ERANGE);
    CHECK(getxattr(path.c_str(), "user.a", nullptr, 0) == 3);
    CHECK_ERRNO(removexattr(path.c_str(), "user.b"), 0);
    CHECK_ERRNO(removexattr(path.c_str(), "user.b"), ENODATA);
    REQUIRE(shared_mount().umount() == 0);
    REQUIRE(shared_mount().mount() == 0);
    CHECK(names_of(path) == std::set<std::string>{"user.a", "trusted.c", "security.d"});
    CHECK(value_of(path, "trusted.c") == std::string("\0binary", 7));
}

TEST_CASE("the largest value and name work, one byte more does not") {
    const Folder folder;
    const std::string path = folder / "f";
    REQUIRE(write_file(path, "x"));
    CHECK_ERRNO(set(path, "user.large", std::string(XATTR_SIZE_MAX, 'v')), 0);
    CHECK(value_of(path, "user.large") == std::string(XATTR_SIZE_MAX, 'v'));
    CHECK_ERRNO(set(path, "user.large", std::string(XATTR_SIZE_MAX + 1, 'v')), E2BIG);
    const std::string longest = "user." + std::string(XATTR_NAME_MAX - 5, 'n');
    CHECK_ERRNO(set(path, longest.c_str(), "1"), 0);
    CHECK(value_of(path, longest.c_str()) == "1");
    CHECK_ERRNO(set(path, (longest + "n").c_str(), "1"), ERANGE);
    CHECK_ERRNO(set(path, "user.", "1"), EINVAL);
    CHECK_ERRNO(set(path, "none.a", "1"), EOPNOTSUPP);
    CHECK_ERRNO(set(path, "plain", "1"), EOPNOTSUPP);
}

TEST_CASE("who may use which names, and on what") {
    const Folder folder;
    REQUIRE(write_file(folder / "f", "x"));
    REQUIRE(set(folder / "f", "user.a", "1") == 0);
    REQUIRE(set(folder / "f", "trusted.t", "1") == 0);
    CHECK_ERRNO_AS(kAlice, set(folder / "f", "user.a", "2"), EACCES);
    CHECK_ERRNO_AS(kAlice, getxattr((folder / "f").c_str(), "user.a", nullptr, 0), 0);
    CHECK_ERRNO_AS(kAlice, set(folder / "f", "trusted.t", "2"), EPERM);
    CHECK_ERRNO_AS(kAlice, getxattr((folder / "f").c_str(), "trusted.t", nullptr, 0), ENODATA);
    // Nor is it listed, or counted.
    CHECK(names_of(folder / "f") == std::set<std::string>{"trusted.t", "user.a"});
    CHECK(as_user(kAlice, kAlice, [&] {
              char list[100];
              const bool sized = listxattr((folder / "f").c_str(), nullptr, 0) == sizeof "user.a";
              return sized && listxattr((folder / "f").c_str(), list, sizeof list) == 7 &&
                             strcmp(list, "user.a") == 0
                         ? 0
                         : 1;
          }) == 0);
    REQUIRE(chmod((folder / "f").c_str(), 0600) == 0);
    CHECK_ERRNO_AS(kAlice, getxattr((folder / "f").c_str(), "user.a", nullptr, 0), EACCES);
    REQUIRE(mkfifo((folder / "fifo").c_str(), 0666) == 0);
    CHECK_ERRNO(set(folder / "fifo", "user.a", "1"), EPERM);
    CHECK_ERRNO(set(folder / "fifo", "trusted.a", "1"), 0);
    REQUIRE(symlink("f", (folder / "link").c_str()) == 0);
    CHECK_ERRNO(lsetxattr((folder / "link").c_str(), "user.a", "1", 1, 0), EPERM);
    CHECK_ERRNO(lsetxattr((folder / "link").c_str(), "trusted.l", "1", 1, 0), 0);
    CHECK_ERRNO(lgetxattr((folder / "f").c_str(), "trusted.l", nullptr, 0), ENODATA);
    CHECK_ERRNO(set(folder.path(), "user.dir", "1"), 0);
}

TEST_CASE("an access ACL decides who may, shows in the mode, and follows chmod") {
    const Folder folder;
    const std::string path = folder / "f";
    REQUIRE(write_file(path, "x"));
    REQUIRE(chmod(path.c_str(), 0600) == 0);
    CHECK_ERRNO_AS(kAlice, try_open(path, O_RDONLY), EACCES);
    REQUIRE(set(path, kAccess, alice_may(4)) == 0);
    CHECK((status_of(path).st_mode & 07777) == 0670);  // the mask
    CHECK_ERRNO_AS(kAlice, try_open(path, O_RDONLY), 0);
    CHECK_ERRNO_AS(kAlice, try_open(path, O_RDWR), EACCES);
    CHECK_ERRNO_AS(kBob, try_open(path, O_RDONLY), EACCES);
    REQUIRE(set(path, kAccess, alice_may(6)) == 0);
    CHECK_ERRNO_AS(kAlice, try_open(path, O_RDWR), 0);
    REQUIRE(chmod(path.c_str(), 0640) == 0);  // narrows the mask
    CHECK_ERRNO_AS(kAlice, try_open(path, O_RDWR), EACCES);
    CHECK_ERRNO_AS(kAlice, try_open(path, O_RDONLY), 0);
    CHECK_ERRNO_AS(kAlice, set(path, kAccess, alice_may(7)), EPERM);
    REQUIRE(removexattr(path.c_str(), kAccess) == 0);
    CHECK_ERRNO_AS(kAlice, try_open(path, O_RDONLY), EACCES);
    CHECK_ERRNO(set(path, kAccess, acl({{kUserObj, 6, kNoId}})), EINVAL);  // nothing for others
    CHECK_ERRNO(set(path, kAccess, "rubbish"), EOPNOTSUPP);                // of no known version
    CHECK_ERRNO(set(path, kDefault, alice_may(4)), EACCES);                // of directories only
}

TEST_CASE("a default ACL takes the umask's place and goes down the tree") {
    const Folder folder;
    REQUIRE(mkdir((folder / "d").c_str(), 0755) == 0);
    REQUIRE(set(folder / "d", kDefault,
                acl({{kUserObj, 7, kNoId},
                     {kUser, 7, kAlice},
                     {kGroupObj, 5, kNoId},
                     {kMask, 7, kNoId},
                     {kOther, 0, kNoId}})) == 0);
    const mode_t before = umask(077);
    CHECK_ERRNO(mkdir((folder / "d/sub").c_str(), 0777), 0);
    const unique_fd made(open((folder / "d/sub/f").c_str(), O_CREAT | O_WRONLY, 0666));
    CHECK_ERRNO(mknod((folder / "d/sub/n").c_str(), S_IFREG | 0640, 0), 0);
    umask(before);
    CHECK((status_of(folder / "d/sub").st_mode & 07777) == 0770);
    CHECK((status_of(folder / "d/sub/f").st_mode & 07777) == 0660);
    CHECK((status_of(folder / "d/sub/n").st_mode & 07777) == 0640);
    CHECK(value_of(folder / "d/sub", kDefault) == value_of(folder / "d", kDefault));
    CHECK_ERRNO_AS(kAlice, try_open(folder / "d/sub/f", O_RDWR), 0);
    CHECK_ERRNO_AS(kAlice, try_open(folder / "d/sub/n", O_RDWR), EACCES);
    CHECK_ERRNO_AS(kBob, try_open(folder / "d/sub/f", O_RDONLY), EACCES);
    CHECK_ERRNO(symlink("x", (folder / "d/sub/link").c_str()), 0);
}

TEST_CASE("setting an ACL drops set-group-id for who is not in the group") {
    const Folder folder;
    const std::string path = folder / "f";
    REQUIRE(write_file(path, "x"));
    REQUIRE(chown(path.c_str(), kAlice, kTeam) == 0);
    REQUIRE(chmod(path.c_str(), 02755) == 0);
    CHECK_ERRNO_AS(kAlice, set(path, kAccess, alice_may(7)), 0);
    CHECK((status_of(path).st_mode & S_ISGID) == 0);
    REQUIRE(chmod(path.c_str(), 02755) == 0);
    CHECK_ERRNO(set(path, kAccess, alice_may(6)), 0);
    CHECK((status_of(path).st_mode & S_ISGID) != 0);
}
