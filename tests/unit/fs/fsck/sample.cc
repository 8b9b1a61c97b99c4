// SPDX-License-Identifier: MIT
#include "tests/unit/fs/fsck/sample.h"

#include <cstring>

#include "fs/volume/posix_acl.h"

namespace exo::test {

namespace {

void put(Sample& s, Volume& v, Ino dir, const std::string& name, const std::string& path,
         const std::string& content) {
    auto attr = v.create(dir, name, S_IFREG | 0640, 1000, 100);
    EXO_REQUIRE_OK(attr);
    if (!content.empty()) EXO_REQUIRE_OK(v.write(attr->ino, 0, bytes_of(content)));
    s.inos[path] = attr->ino;
}

Sample make_sample() {
    Sample s;
    EXO_REQUIRE_OK(mkfs(s.image, {}));
    auto v = mount(s.image);
    const auto dir = v->mkdir(kRootIno, "dir", 0755, 0, 0);
    s.inos["/dir"] = dir->ino;
    for (int i = 0; i < 60; i++) {
        const std::string name = "entry" + std::to_string(i) + std::string(40, 'e');
        put(s, *v, dir->ino, name, "/dir/" + name, "content of " + std::to_string(i));
    }
    const auto sub = v->mkdir(dir->ino, "sub", 0755, 0, 0);
    s.inos["/dir/sub"] = sub->ino;
    const auto deep = v->mkdir(sub->ino, "deep", 0755, 0, 0);
    s.inos["/dir/sub/deep"] = deep->ino;
    put(s, *v, deep->ino, "file", "/dir/sub/deep/file", "deep down");
    // A directory of three levels: empty files, so that it is cheap.
    const auto many = v->mkdir(kRootIno, "many", 0755, 0, 0);
    s.inos["/many"] = many->ino;
    for (int i = 0; i < 700; i++) {
        const std::string name = std::to_string(i) + std::string(100, 'm');
        put(s, *v, many->ino, name, "/many/" + name, "");
    }
    put(s, *v, kRootIno, "fragmented", "/fragmented", "");
    for (uint64_t i = 0; i < 200; i++)
        EXO_REQUIRE_OK(
            v->write(s.inos["/fragmented"], i * 8192, bytes_of("piece " + std::to_string(i))));
    put(s, *v, kRootIno, "plain", "/plain", std::string(20000, 'a'));
    put(s, *v, kRootIno, "other", "/other", std::string(20000, 'b'));
    put(s, *v, kRootIno, "pinned", "/pinned", std::string(5000, 'p'));
    EXO_REQUIRE_OK(v->set_pinned(s.inos["/pinned"], true));
    EXO_REQUIRE_OK(v->link(s.inos["/plain"], sub->ino, "second name"));
    s.inos["/long"] = v->symlink(kRootIno, "long", std::string(2500, 's'), 0, 0)->ino;
    s.inos["/short"] = v->symlink(kRootIno, "short", "plain", 0, 0)->ino;
    s.inos["/fifo"] = v->create(kRootIno, "fifo", S_IFIFO | 0600, 0, 0)->ino;
    put(s, *v, kRootIno, "tagged", "/tagged", "with attributes");
    for (int i = 0; i < 30; i++) {
        const std::string value(size_t(300), char('a' + i % 26));
        EXO_REQUIRE_OK(v->set_xattr(s.inos["/tagged"], "user.tag" + std::to_string(i),
                                    bytes_of(value), XattrMode::kSet));
    }
    put(s, *v, kRootIno, "shared", "/shared", "with an ACL");
    const Acl acl{{kAclUserObj, 6, UINT32_MAX},
                  {kAclUser, 4, 1001},
                  {kAclGroupObj, 0, UINT32_MAX},
                  {kAclMask, 6, UINT32_MAX},
                  {kAclOther, 0, UINT32_MAX}};
    EXO_REQUIRE_OK(
        v->set_xattr(s.inos["/shared"], kAclAccessName, encode_acl(acl), XattrMode::kSet));
    put(s, *v, kRootIno, "gone", "/gone", std::string(9000, 'g'));
    EXO_REQUIRE_OK(v->set_pinned(s.inos["/gone"], true));
    EXO_REQUIRE_OK(v->unlink(kRootIno, "gone"));
    EXO_REQUIRE_OK(v->close());
    s.contents = contents_of(s.image);
    return s;
}

void collect(Volume& v, Ino dir, const std::string& path, Contents& out) {
    uint64_t cookie = 0;
    for (;;) {
        auto entries = v.readdir_plus(dir, cookie, 500);
        EXO_REQUIRE_OK(entries);
        if (entries->empty()) return;
        for (const DirEntry& entry : *entries) {
            cookie = entry.cookie;
            if (entry.name == "." || entry.name == "..") continue;
            const std::string name = path + "/" + entry.name;
            const FileAttr& attr = entry.attr;
            std::string text = std::to_string(attr.mode) + " " + std::to_string(attr.uid) + " ";
            if (S_ISREG(attr.mode)) text += read_all(v, entry.ino);
            if (S_ISLNK(attr.mode)) {
                auto target = v.readlink(entry.ino);
                EXO_REQUIRE_OK(target);
                text += *target;
            }
            auto names = v.list_xattr(entry.ino);
            EXO_REQUIRE_OK(names);
            for (size_t at = 0; at < names->size(); at = names->find('\0', at) + 1) {
                auto value = v.get_xattr(entry.ino, names->c_str() + at);
                EXO_REQUIRE_OK(value);
                text += std::string(names->c_str() + at) + "=" +
                        std::string(reinterpret_cast<const char*>(value->data()), value->size());
            }
            out[name] = text;
            if (S_ISDIR(attr.mode)) collect(v, entry.ino, name, out);
            v.close_ref(entry.ino);
        }
    }
}

}  // namespace

const Sample& sample() {
    static const Sample instance = make_sample();
    return instance;
}

Contents contents_of(BlockDevice& device) {
    MountOptions options = quiet_mount();
    options.read_only = true;
    auto v = mount(device, options);
    Contents out;
    collect(*v, kRootIno, "", out);
    return out;
}

MutablePageRef Surgeon::get(BlockNo block) const {
    MutablePageRef page = allocate_page();
    device_.peek(block * kBlockBytes, page->bytes, kBlockBytes);
    return page;
}

void Surgeon::change(BlockNo block, const std::function<void(Page&)>& how) {
    auto page = get(block);
    how(*page);
    seal_block(*page);
    device_.poke(block * kBlockBytes, page->bytes, kBlockBytes);
}

void Surgeon::change_record(Ino ino, const std::function<void(InodeRecord&)>& how) {
    const bool system = ino >= kSystemInoBase;
    change(record_block(ino), [&](Page& page) {
        how(page.as<InodeBlock>()->records[system ? ino - kSystemInoBase : inode_slot(ino)]);
    });
}

void Surgeon::ruin(BlockNo block) {
    uint8_t byte;
    device_.peek(block * kBlockBytes + 700, &byte, 1);
    byte ^= 0x10;
    device_.poke(block * kBlockBytes + 700, &byte, 1);
}

InodeRecord Surgeon::record(Ino ino) const {
    const bool system = ino >= kSystemInoBase;
    return get(record_block(ino))
        ->as<InodeBlock>()
        ->records[system ? ino - kSystemInoBase : inode_slot(ino)];
}

BlockNo Surgeon::record_block(Ino ino) const {
    return ino >= kSystemInoBase ? kSystemPlace : inode_file_block(inode_block_index(ino));
}

BlockNo Surgeon::bitmap_block(Ino ino) const {
    return inode_file_block(inode_bitmap_index(ino));
}

BlockNo Surgeon::inode_file_block(uint64_t index) const {
    for (const auto& [first, extent] : extents(kInodeFileIno))
        if (index >= first && index < first + extent.length_blocks)
            return extent.disk_block + (index - first);
    FAIL("the inode file has no block " << index);
    return 0;
}

void Surgeon::add_nodes(const TreeNodeView& node, std::vector<Node>& out) const {
    if (node.level() == 0) return;
    for (unsigned i = 0; i < node.count(); i++) {
        out.push_back({node.child(i), node.level() - 1});
        const auto page = get(node.child(i));
        add_nodes(TreeNodeView(page->as<TreeBlock>()->area, kBodyBytes), out);
    }
}

std::vector<Surgeon::Node> Surgeon::nodes(Ino ino, bool xattr) const {
    const InodeRecord r = record(ino);
    std::vector<Node> out;
    add_nodes(xattr ? TreeNodeView(r.xattr_root, kXattrRootBytes)
                    : TreeNodeView(r.data_root, kDataRootBytes),
              out);
    return out;
}

BlockNo Surgeon::leaf(Ino ino, size_t which) const {
    for (const Node& node : nodes(ino))
        if (node.level == 0 && which-- == 0) return node.block;
    FAIL("inode " << ino << " has no such leaf");
    return 0;
}

void Surgeon::change_value(Ino ino,
                           const std::function<bool(uint64_t key, std::byte* value, size_t)>& how,
                           bool xattr) {
    auto try_area = [&](std::byte* area, size_t capacity) {
        const TreeNodeView node(area, capacity);
        if (node.level() > 0) return false;
        for (unsigned i = 0; i < node.count(); i++) {
            const auto value = node.value(i);
            if (how(node.key(i), const_cast<std::byte*>(value.data()), value.size())) return true;
        }
        return false;
    };
    bool done = false;
    change_record(ino, [&](InodeRecord& r) {
        done =
            xattr ? try_area(r.xattr_root, kXattrRootBytes) : try_area(r.data_root, kDataRootBytes);
    });
    for (const Node& node : nodes(ino, xattr))
        if (!done && node.level == 0)
            change(node.block,
                   [&](Page& page) { done = try_area(page.as<TreeBlock>()->area, kBodyBytes); });
    REQUIRE(done);
}

std::vector<std::pair<uint64_t, ExtentValue>> Surgeon::extents(Ino ino) const {
    std::vector<std::pair<uint64_t, ExtentValue>> out;
    auto take = [&](const TreeNodeView& node) {
        for (unsigned i = 0; node.level() == 0 && i < node.count(); i++) {
            ExtentValue value;
            memcpy(&value, node.value(i).data(), sizeof value);
            out.emplace_back(node.key(i), value);
        }
    };
    const InodeRecord r = record(ino);
    take(TreeNodeView(r.data_root, kDataRootBytes));
    for (const Node& node : nodes(ino))
        if (node.level == 0) {
            const auto page = get(node.block);
            take(TreeNodeView(page->as<TreeBlock>()->area, kBodyBytes));
        }
    return out;
}

}  // namespace exo::test
