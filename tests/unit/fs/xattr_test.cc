// SPDX-License-Identifier: MIT
// Extended attributes and inherited ACLs of a volume, over remounts.
#include <map>
#include <random>

#include "fs/volume/posix_acl.h"
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {
std::string value_of(Volume& v, Ino ino, const std::string& name) {
    auto value = v.get_xattr(ino, name);
    EXO_REQUIRE_OK(value);
    return {reinterpret_cast<const char*>(value->data()), value->size()};
}
Result<> put(Volume& v, Ino ino, const std::string& name, const std::string& value,
             XattrMode mode = XattrMode::kSet) {
    return v.set_xattr(ino, name, bytes_of(value), mode);
}
uint64_t blocks_of(Volume& v, Ino ino) {
    return v.getattr(ino)->blocks_512 / 8;
}
constexpr uint32_t kNone = UINT32_MAX;
}  // namespace

TEST_CASE("setting, replacing and removing attributes gives the exact errors") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file");
    EXO_CHECK_CODE(v->get_xattr(file, "user.none"), ENODATA);
    EXO_CHECK_CODE(v->remove_xattr(file, "user.none"), ENODATA);
    EXO_CHECK_CODE(put(*v, file, "user.a", "1", XattrMode::kReplace), ENODATA);
    EXO_REQUIRE_OK(put(*v, file, "user.a", "1", XattrMode::kCreate));
    EXO_CHECK_CODE(put(*v, file, "user.a", "2", XattrMode::kCreate), EEXIST);
    CHECK(value_of(*v, file, "user.a") == "1");
    EXO_REQUIRE_OK(put(*v, file, "user.a", "", XattrMode::kReplace));
    CHECK(value_of(*v, file, "user.a").empty());
    EXO_CHECK_CODE(put(*v, file, "", "x"), ERANGE);
    EXO_CHECK_CODE(put(*v, file, "user.", "x"), EINVAL);
    EXO_CHECK_CODE(put(*v, file, "other.x", "x"), EOPNOTSUPP);
    EXO_CHECK_CODE(put(*v, file, "user." + std::string(251, 'n'), "x"), ERANGE);
    const std::string longest = "user." + std::string(250, 'n');
    EXO_REQUIRE_OK(put(*v, file, longest, std::string(65536, 'v')));
    EXO_CHECK_CODE(put(*v, file, "user.b", std::string(65537, 'v')), E2BIG);
    CHECK(value_of(*v, file, longest) == std::string(65536, 'v'));
    CHECK(v->list_xattr(file)->size() == 7 + 256);
    CHECK(blocks_of(*v, file) >= 17);
    EXO_REQUIRE_OK(v->remove_xattr(file, longest));
    EXO_REQUIRE_OK(v->remove_xattr(file, "user.a"));
    CHECK(v->list_xattr(file)->empty());
    CHECK(blocks_of(*v, file) == 0);
    EXO_CHECK_CODE(v->get_xattr(12345, "user.a"), ESTALE);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("random attributes agree with a map, survive a remount, and go with their inode") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const uint64_t free_before = v->statfs().blocks_free;
    EXO_REQUIRE_OK(v->sync());
    const Ino file = make_file(*v, kRootIno, "file");
    std::map<std::string, std::string> model;
    std::mt19937_64 random(7);
    for (int step = 0; step < 1500; step++) {
        const std::string name = "user.name" + std::to_string(random() % 40);
        if (random() % 3 == 0) {
            const bool there = model.erase(name) > 0;
            CHECK(bool(v->remove_xattr(file, name)) == there);
        } else {
            const size_t sizes[] = {random() % 40, random() % 1100, random() % 5000,
                                    random() % 65537};
            const std::string value(sizes[random() % 4], char('a' + random() % 26));
            EXO_REQUIRE_OK(put(*v, file, name, value));
            model[name] = value;
        }
        if (step % 500 != 499) continue;
        EXO_REQUIRE_OK(v->close());
        require_sound(device);
        v = mount(device);
        REQUIRE(v->lookup(kRootIno, "file")->ino == file);
        size_t list_bytes = 0;
        for (const auto& [key, text] : model) {
            REQUIRE(value_of(*v, file, key) == text);
            list_bytes += key.size() + 1;
        }
        REQUIRE(v->list_xattr(file)->size() == list_bytes);
    }
    EXO_REQUIRE_OK(v->unlink(kRootIno, "file"));
    v->close_ref(file);
    EXO_REQUIRE_OK(v->sync());
    CHECK(v->statfs().blocks_free == free_before);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("the list of names stays within what listxattr can return") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file");
    int count = 0;
    Result<> last;
    while (count < 1000) {
        last = put(*v, file, "user." + std::to_string(10000 + count) + std::string(240, 'n'), "");
        if (!last) break;
        count++;
    }
    EXO_CHECK_CODE(last, ENOSPC);
    CHECK(count == 65536 / 251);
    CHECK(v->list_xattr(file)->size() <= 65536);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("a volume that is full refuses an attribute and stays whole") {
    MemoryDevice device = fresh_image(16u << 20);
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file");
    Result<> last;
    int count = 0;
    std::vector<Ino> files;
    for (; count < 1000 && last; count++) {
        files.push_back(make_file(*v, kRootIno, "f" + std::to_string(count)));
        last = put(*v, files.back(), "user.big", std::string(65536, 'x'));
    }
    EXO_CHECK_CODE(last, ENOSPC);
    CHECK(count > 100);
    EXO_CHECK_CODE(v->get_xattr(files.back(), "user.big"), ENODATA);
    EXO_REQUIRE_OK(v->unlink(kRootIno, "f0"));
    v->close_ref(files[0]);
    EXO_REQUIRE_OK(put(*v, file, "user.big", std::string(60000, 'x')));
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("pinned files take attributes; every type of inode may have them") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file");
    EXO_REQUIRE_OK(v->set_pinned(file, true));
    EXO_REQUIRE_OK(put(*v, file, "user.note", "pinned"));
    auto link = v->symlink(kRootIno, "link", "file", 0, 0);
    EXO_REQUIRE_OK(put(*v, link->ino, "trusted.t", "x"));
    auto fifo = v->create(kRootIno, "fifo", S_IFIFO | 0600, 0, 0);
    EXO_REQUIRE_OK(put(*v, fifo->ino, "security.s", std::string(3000, 's')));
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("the access ACL and the mode agree") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file");
    const std::string access(kAclAccessName), inherited(kAclDefaultName);
    const Acl plain{{kAclUserObj, 7, kNone}, {kAclGroupObj, 5, kNone}, {kAclOther, 4, kNone}};
    EXO_REQUIRE_OK(v->set_xattr(file, access, encode_acl(plain), XattrMode::kSet));
    CHECK(v->getattr(file)->mode == (S_IFREG | 0754));
    EXO_CHECK_CODE(v->get_xattr(file, access), ENODATA);  // the mode says it all
    const Acl named{{kAclUserObj, 6, kNone},
                    {kAclUser, 7, 1000},
                    {kAclGroupObj, 4, kNone},
                    {kAclMask, 6, kNone},
                    {kAclOther, 0, kNone}};
    SetAttr sgid;
    sgid.mode = 02755;
    EXO_REQUIRE_OK(v->setattr(file, sgid));
    EXO_REQUIRE_OK(v->set_xattr(file, access, encode_acl(named), XattrMode::kSet));
    CHECK(v->getattr(file)->mode == (S_IFREG | 02660));
    EXO_REQUIRE_OK(v->set_xattr(file, access, encode_acl(named), XattrMode::kSet, true));
    CHECK(v->getattr(file)->mode == (S_IFREG | 0660));
    SetAttr change;
    change.mode = 0400;
    EXO_REQUIRE_OK(v->setattr(file, change));
    const auto after = parse_acl(*v->get_xattr(file, access));
    CHECK((*after)[3].perm == 0);  // the mask
    CHECK((*after)[1].perm == 7);
    EXO_CHECK_CODE(v->set_xattr(file, inherited, encode_acl(named), XattrMode::kSet), EACCES);
    EXO_CHECK_CODE(put(*v, file, access, "bad"), EINVAL);
    EXO_REQUIRE_OK(v->remove_xattr(file, access));
    EXO_REQUIRE_OK(v->remove_xattr(file, access));  // nothing left to remove is what was wanted
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("a default ACL is inherited, and replaces the umask") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const std::string access(kAclAccessName), inherited(kAclDefaultName);
    auto plain = v->create(kRootIno, "plain", S_IFREG | 0666, 0, 0, 0, 027);
    CHECK(plain->mode == (S_IFREG | 0640));
    auto dir = v->mkdir(kRootIno, "dir", 0777, 0, 0, 022);
    CHECK(dir->mode == (S_IFDIR | 0755));
    const Acl named{{kAclUserObj, 7, kNone},
                    {kAclUser, 7, 1000},
                    {kAclGroupObj, 5, kNone},
                    {kAclMask, 7, kNone},
                    {kAclOther, 0, kNone}};
    EXO_REQUIRE_OK(v->set_xattr(dir->ino, inherited, encode_acl(named), XattrMode::kSet));
    auto file = v->create(dir->ino, "file", S_IFREG | 0666, 0, 0, 0, 077);
    CHECK(file->mode == (S_IFREG | 0660));
    const auto acl = parse_acl(*v->get_xattr(file->ino, access));
    CHECK((*acl)[3].perm == 6);
    EXO_CHECK_CODE(v->get_xattr(file->ino, inherited), ENODATA);
    auto below = v->mkdir(dir->ino, "below", 0777, 0, 0, 077);
    CHECK(below->mode == (S_IFDIR | 0770));
    CHECK(*parse_acl(*v->get_xattr(below->ino, inherited)) == named);
    auto unnamed = v->create_unnamed(dir->ino, 0640, 0, 0, 077);
    CHECK(unnamed->mode == (S_IFREG | 0640));
    CHECK((*parse_acl(*v->get_xattr(unnamed->ino, access)))[3].perm == 4);
    auto link = v->symlink(dir->ino, "link", "x", 0, 0);
    CHECK(link->mode == (S_IFLNK | 0777));
    CHECK(v->list_xattr(link->ino)->empty());
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}
