// SPDX-License-Identifier: MIT
#include "tests/fuzz/base_images.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fs/format/journal_format.h"
#include "fs/mkfs/mkfs.h"
#include "fs/volume/posix_acl.h"
#include "fs/volume/superblock_io.h"
#include "fs/volume/volume.h"

namespace exo::fuzz {

namespace {

using test::MemoryDevice;

// A base that cannot be built is a bug of the harness, not of an input.
template <typename T>
T must(Result<T> result) {
    if (result) {
        if constexpr (std::is_void_v<T>)
            return;
        else
            return std::move(*result);
    }
    fprintf(stderr, "building a base image failed: %s\n", describe(result.error()).c_str());
    abort();
}

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

// mkfs draws the hash key and the first sequence at random: replaced, so that runs repeat.
MemoryDevice fixed_volume(uint64_t size_bytes) {
    MemoryDevice device(size_bytes);
    MkfsOptions options;
    options.label = "fuzz";
    options.uuid = std::array<uint8_t, 16>{0xe0, 0xf0, 1, 2, 3, 4, 0x45, 6, 0x87, 8, 9, 10, 11, 12};
    must(mkfs(device, options));
    LoadedSuperblock loaded = must(load_superblock(device));
    Superblock& sb = loaded.superblock;
    memset(sb.hash_key, 0x5a, sizeof sb.hash_key);
    must(store_superblock(device, sb, kSuperblockPlace));
    for (BlockNo place : backup_places(sb.size_blocks)) must(store_superblock(device, sb, place));
    MutablePageRef page = allocate_page();
    must(device.read(sb.journal_start * kBlockBytes, page->bytes, kBlockBytes));
    page->as<JournalSuper>()->tail_sequence = 1000;
    seal_block(*page);
    must(device.write(sb.journal_start * kBlockBytes, page->bytes, kBlockBytes));
    return device;
}

Ino make_file(Volume& v, Ino parent, const std::string& name, const std::string& content) {
    const FileAttr attr = must(v.create(parent, name, S_IFREG | 0644, 1000, 1000));
    if (!content.empty()) must(v.write(attr.ino, 0, bytes_of(content)));
    return attr.ino;
}

void populate(Volume& v, unsigned entries, unsigned extents) {
    const FileAttr dir = must(v.mkdir(kRootIno, "dir", 0755, 0, 0));
    const FileAttr deep = must(v.mkdir(dir.ino, "deeper", 02755, 0, 5));
    must(v.mkdir(deep.ino, "deepest", 0700, 7, 7));
    for (unsigned i = 0; i < entries; i++)
        make_file(v, dir.ino, "entry" + std::to_string(i) + std::string(30, 'e'), {});
    const Ino fragmented = make_file(v, kRootIno, "fragmented", {});
    for (uint64_t i = 0; i < extents; i++)
        must(v.write(fragmented, i * 8192, bytes_of("piece " + std::to_string(i))));
    const Ino pinned = make_file(v, kRootIno, "pinned", std::string(10000, 'p'));
    must(v.set_pinned(pinned, true));
    const Ino linked = make_file(v, kRootIno, "linked", "two names");
    must(v.link(linked, deep.ino, "second name"));
    must(v.symlink(kRootIno, "long", std::string(2000, 's'), 0, 0));
    must(v.symlink(kRootIno, "short", "dir/deeper", 0, 0));
    must(v.create(kRootIno, "device", S_IFBLK | 0600, 0, 0, 0x10300001));
    must(v.create(kRootIno, "fifo", S_IFIFO | 0600, 0, 0));
    const Ino prepared = make_file(v, kRootIno, "prepared", "start");
    must(v.fallocate(prepared, FallocateMode::kAllocate, 0, 100000, true));
    must(v.create_unnamed(kRootIno, 0600, 0, 0));
    const Ino gone = make_file(v, kRootIno, "gone", std::string(50000, 'g'));
    must(v.set_pinned(gone, true));
    must(v.unlink(kRootIno, "gone"));
    const Ino cut = make_file(v, kRootIno, "cut", std::string(9000, 'c'));
    must(v.truncate(cut, 4500));
}

void set(Volume& v, Ino ino, std::string_view name, std::span<const std::byte> value) {
    must(v.set_xattr(ino, name, value, XattrMode::kSet));
}

void populate_attributes(Volume& v) {
    const auto acl = [](uint32_t users) {
        Acl entries{{kAclUserObj, 7, UINT32_MAX}};
        for (uint32_t i = 0; i < users; i++) entries.push_back({kAclUser, 5, 1000 + i});
        entries.push_back({kAclGroupObj, 4, UINT32_MAX});
        entries.push_back({kAclMask, 5, UINT32_MAX});
        entries.push_back({kAclOther, 1, UINT32_MAX});
        return encode_acl(entries);
    };
    const FileAttr dir = must(v.mkdir(kRootIno, "dir", 0755, 0, 0));
    set(v, dir.ino, kAclDefaultName, acl(2));
    set(v, dir.ino, kAclAccessName, acl(1));
    make_file(v, dir.ino, "heir", "with an ACL that it inherits");
    set(v, make_file(v, kRootIno, "small", "in the record"), kAclAccessName, acl(1));
    set(v, make_file(v, kRootIno, "large", "in several pieces"), kAclAccessName, acl(400));
    const Ino many = make_file(v, kRootIno, "many", "a tree of them");
    for (unsigned i = 0; i < 60; i++)
        set(v, many, "user.number" + std::to_string(i), bytes_of(std::string(200, 'n')));
    set(v, many, "security.capability", bytes_of(std::string(20, 'c')));
    const Ino huge = make_file(v, kRootIno, "huge", "one of 64 KiB");
    set(v, huge, "user.huge", bytes_of(std::string(65536, 'h')));
    set(v, huge, "user.empty", {});
    const FileAttr link = must(v.symlink(kRootIno, "link", "small", 0, 0));
    set(v, link.ino, "trusted.link", bytes_of("of a symlink"));
}

MemoryDevice build(unsigned which) {
    MountOptions options;
    options.commit_interval_ms = 0;
    MemoryDevice device = fixed_volume(16u << 20);
    if (which == 3) return device;
    auto v = must(Volume::open(std::make_unique<test::BorrowedDevice>(device), options));
    if (which == 4)
        populate_attributes(*v);
    else if (which == 2)
        populate(*v, 900, 400);
    else
        populate(*v, 60, 40);
    if (which == 1) {
        must(v->sync());
        make_file(*v, kRootIno, "later", "in a second transaction");
        must(v->unlink(kRootIno, "fifo"));
        must(v->sync());
        MemoryDevice crashed(device);
        (void)v->close();
        return crashed;
    }
    must(v->close());
    return device;
}

BaseImage make(unsigned which) {
    BaseImage base{build(which), {}, 0, 0};
    const Superblock sb = must(load_superblock(base.device)).superblock;
    base.journal_start = sb.journal_start;
    base.journal_blocks = sb.journal_blocks;
    MutablePageRef page = allocate_page();
    for (BlockNo block = 0; block < sb.size_blocks; block++) {
        base.device.peek(block * kBlockBytes, page->bytes, kBlockBytes);
        const bool in_log =
            block > sb.journal_start && block < sb.journal_start + sb.journal_blocks;
        const auto* header = page->as<BlockHeader>();
        if (header->magic == kBlockMagic && (header->address == block || in_log))
            base.blocks.push_back(block);
    }
    return base;
}

}  // namespace

const BaseImage& base_image(unsigned which) {
    static const std::vector<BaseImage>* images = [] {
        auto* made = new std::vector<BaseImage>;
        for (unsigned i = 0; i < kBaseImages; i++) made->push_back(make(i));
        return made;
    }();
    return (*images)[which % kBaseImages];
}

}  // namespace exo::fuzz
