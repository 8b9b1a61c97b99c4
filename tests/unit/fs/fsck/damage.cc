// SPDX-License-Identifier: MIT
#include "tests/unit/fs/fsck/damage.h"

#include <algorithm>
#include <cstring>

#include "fs/format/journal_format.h"
#include "fs/node/directory.h"
#include "fs/volume/posix_acl.h"
#include "fs/volume/superblock_io.h"

namespace exo::test {

namespace {

constexpr BlockNo kJournalStart = 1025;

Ino ino_of(const std::string& path) {
    return sample().inos.at(path);
}

// The first entry of a directory that fits.
void change_entry(Surgeon& s, Ino dir, const std::string& name,
                  const std::function<void(std::byte* value, size_t length)>& how) {
    s.change_value(dir, [&](uint64_t, std::byte* value, size_t length) {
        if (std::string(reinterpret_cast<char*>(value) + sizeof(EntryValue),
                        length - sizeof(EntryValue)) != name)
            return false;
        how(value, length);
        return true;
    });
}

void set_entry_ino(std::byte* value, Ino ino, uint8_t type) {
    EntryValue entry;
    entry.ino = ino;
    entry.type = type;
    memcpy(value, &entry, sizeof entry);
}

// Makes the first extent of one file point to the first block of another.
void overlap(Surgeon& s, const std::string& loser, BlockNo target) {
    s.change_value(ino_of(loser), [&](uint64_t, std::byte* value, size_t) {
        ExtentValue extent;
        memcpy(&extent, value, sizeof extent);
        extent.disk_block = target;
        memcpy(value, &extent, sizeof extent);
        return true;
    });
}

// Everybody else in the block of records.
std::set<std::string> neighbours(const std::string& path) {
    std::set<std::string> paths;
    for (const auto& [other, ino] : sample().inos)
        if (ino / kInodesPerBlock == ino_of(path) / kInodesPerBlock) paths.insert(other);
    if (paths.contains("/plain")) paths.insert("/dir/sub/second name");
    return paths;
}

std::set<std::string> below(const std::string& path) {
    std::set<std::string> paths;
    for (const auto& [other, text] : sample().contents)
        if (other.starts_with(path + "/")) paths.insert(other);
    return paths;
}

// Writes the commit of a second transaction, so that the first, which is not there, is missed.
void lose_transaction(MemoryDevice& image) {
    Surgeon s(image);
    const auto super = s.get(kJournalStart);
    const uint64_t tail = super->as<JournalSuper>()->tail_sequence;
    const BlockNo place = kJournalStart + 20;
    auto page = allocate_zero_page();
    init_block(*page, place, BlockType::kJournalCommit, 0, super->as<BlockHeader>()->volume_tag);
    page->as<JournalCommit>()->sequence = tail + 1;
    seal_block(*page);
    image.poke(place * kBlockBytes, page->bytes, kBlockBytes);
}

std::vector<DamageCase> make_cases() {
    using Image = MemoryDevice;
    auto record = [](const std::string& path, std::function<void(InodeRecord&)> how) {
        return [path, how](Image& image) { Surgeon(image).change_record(ino_of(path), how); };
    };
    auto root_record = [](std::function<void(InodeRecord&)> how) {
        return [how](Image& image) { Surgeon(image).change_record(kRootIno, how); };
    };
    const std::string entry5 = "entry5" + std::string(40, 'e');
    const std::string entry6 = "entry6" + std::string(40, 'e');
    std::vector<DamageCase> cases{
        {"primary superblock", Damage::kSuperblock, [](Image& i) { i.poke(300, "x", 1); }},
        {"no superblock", Damage::kNoSuperblock,
         [](Image& i) { i.poke(0, std::string(4096, 'z').data(), 4096); }},
        {"first backup", Damage::kBackup, [](Image& i) { Surgeon(i).ruin(1024); }},
        {"last backup", Damage::kBackup,
         [](Image& i) { Surgeon(i).ruin(i.size_bytes() / kBlockBytes - 1); }},
        {"backup of other content", Damage::kBackup,
         [](Image& i) {
             Surgeon(i).change(1024, [](Page& p) { p.as<Superblock>()->created_s = 1; });
         }},
        {"journal header", Damage::kJournalSuper, [](Image& i) { Surgeon(i).ruin(kJournalStart); }},
        {"journal header without sense", Damage::kJournalSuper,
         [](Image& i) {
             Surgeon(i).change(kJournalStart,
                               [](Page& p) { p.as<JournalSuper>()->tail_position = 0; });
         }},
        {"journal content", Damage::kJournalContent, lose_transaction},
        {"system block", Damage::kSystemBlock, [](Image& i) { Surgeon(i).ruin(kSystemPlace); }},
        {"inode file shorter than its size", Damage::kInodeFile,
         [](Image& i) {
             Surgeon(i).change_record(kInodeFileIno, [](InodeRecord& r) { r.size = 100000; });
         }},
        {"inode file longer than its size", Damage::kInodeFile,
         [](Image& i) {
             Surgeon(i).change_record(kInodeFileIno, [](InodeRecord& r) { r.size = 5; });
         }},
        {"inode file's extent", Damage::kInodeFile,
         [](Image& i) {
             Surgeon(i).change_value(kInodeFileIno, [](uint64_t key, std::byte* value, size_t) {
                 if (key == 0) return false;
                 memset(value, 0xff, 8);
                 return true;
             });
         }},
        {"inode file's blocks", Damage::kBlockCount,
         [](Image& i) {
             Surgeon(i).change_record(kInodeFileIno, [](InodeRecord& r) { r.blocks = 1; });
         }},
        {"block of records", Damage::kInodeBlock,
         [](Image& i) {
             Surgeon s(i);
             s.ruin(s.record_block(ino_of("/plain")));
         },
         neighbours("/plain")},
        {"block of the root's record",
         Damage::kInodeBlock,
         [](Image& i) {
             Surgeon s(i);
             s.ruin(s.record_block(kRootIno));
         },
         {"*"}},
        {"record of no type",
         Damage::kInodeRecord,
         record("/plain", [](InodeRecord& r) { r.mode = 0x3000; }),
         {"/plain", "/dir/sub/second name"}},
        {"reserved number in use", Damage::kInodeRecord,
         [](Image& i) {
             Surgeon(i).change_record(3, [](InodeRecord& r) {
                 r.mode = S_IFREG | 0600;
                 r.generation = 1;
             });
         }},
        {"mode with unknown bits", Damage::kInodeField,
         record("/plain", [](InodeRecord& r) { r.mode = r.mode | 0x10000; })},
        {"unknown flags", Damage::kInodeField,
         record("/plain", [](InodeRecord& r) { r.flags = r.flags | 0x80; })},
        {"nanoseconds", Damage::kInodeField,
         record("/plain", [](InodeRecord& r) { r.mtime_ns = 2000000000; })},
        {"generation 0", Damage::kInodeField,
         record("/plain", [](InodeRecord& r) { r.generation = 0; })},
        {"root of a file's tree",
         Damage::kTree,
         record("/plain", [](InodeRecord& r) { r.data_root[0] = std::byte{77}; }),
         {"/plain", "/dir/sub/second name"}},
        {"root of a directory's tree", Damage::kTree,
         record("/many", [](InodeRecord& r) { r.data_root[0] = std::byte{77}; })},
        {"leaf of a directory", Damage::kTree,
         [](Image& i) {
             Surgeon s(i);
             s.ruin(s.leaf(ino_of("/many"), 3));
         },
         below("/many")},
        {"inner node of a directory", Damage::kTree,
         [](Image& i) {
             Surgeon s(i);
             const auto nodes = s.nodes(ino_of("/many"));
             REQUIRE(nodes.front().level == 1);
             s.ruin(nodes.front().block);
         }},
        {"leaf of a file",
         Damage::kTree,
         [](Image& i) {
             Surgeon s(i);
             s.ruin(s.leaf(ino_of("/fragmented")));
         },
         {"/fragmented"}},
        {"pointer of an inner node", Damage::kTree,
         [](Image& i) {
             Surgeon(i).change_record(ino_of("/many"), [](InodeRecord& r) {
                 TreeNodeEditor root(r.data_root, kDataRootBytes);
                 const le64 nowhere(uint64_t(1) << 50);
                 root.overwrite(1, std::as_bytes(std::span(&nowhere, 1)));
             });
         }},
        {"inner node that starts late", Damage::kTree,
         [](Image& i) {
             Surgeon(i).change_record(ino_of("/many"), [](InodeRecord& r) {
                 TreeNodeEditor(r.data_root, kDataRootBytes).set_key(0, 300);
             });
         }},
        {"node of two trees",
         Damage::kAttribute,
         [](Image& i) {
             Surgeon(i).change_record(ino_of("/tagged"), [&](InodeRecord& r) {
                 TreeNodeEditor data(r.data_root, kDataRootBytes);
                 data.reset(1);
                 data.insert_child(0, 0, TreeNodeView(r.xattr_root, kXattrRootBytes).child(0));
             });
         },
         {"/tagged"}},
        {"malformed extent",
         Damage::kExtent,
         [](Image& i) {
             Surgeon(i).change_value(ino_of("/plain"), [](uint64_t, std::byte* value, size_t) {
                 value[12] = std::byte{0x40};
                 return true;
             });
         },
         {"/plain", "/dir/sub/second name"}},
        {"extent outside of the volume",
         Damage::kExtent,
         [](Image& i) {
             Surgeon s(i);
             overlap(s, "/plain", 1u << 30);
         },
         {"/plain", "/dir/sub/second name"}},
        {"extents that overlap in the file",
         Damage::kExtent,
         [](Image& i) {
             Surgeon(i).change_value(ino_of("/fragmented"),
                                     [](uint64_t key, std::byte* value, size_t) {
                                         if (key == 0) return false;
                                         value[8] = std::byte{9};
                                         return true;
                                     });
         },
         {"/fragmented"}},
        {"blocks of two files of one user",
         Damage::kOverlap,
         [](Image& i) {
             Surgeon s(i);
             overlap(s, "/other", s.extents(ino_of("/plain"))[0].second.disk_block);
         },
         {"/other"}},
        {"blocks of two files of different users",
         Damage::kOverlap,
         [](Image& i) {
             Surgeon s(i);
             s.change_record(ino_of("/other"), [](InodeRecord& r) { r.uid = 7; });
             overlap(s, "/other", s.extents(ino_of("/plain"))[0].second.disk_block);
         },
         {"/other"}},
        {"blocks of a file and the journal",
         Damage::kOverlap,
         [](Image& i) {
             Surgeon s(i);
             overlap(s, "/other", kJournalStart + 7);
         },
         {"/other"}},
        {"blocks of a file and a tree",
         Damage::kOverlap,
         [](Image& i) {
             Surgeon s(i);
             overlap(s, "/plain", s.leaf(ino_of("/many"), 2));
         },
         {"/plain", "/dir/sub/second name"}},
        {"data behind the end",
         Damage::kFileSize,
         record("/plain", [](InodeRecord& r) { r.size = 10; }),
         {"/plain", "/dir/sub/second name"}},
        {"impossible size",
         Damage::kFileSize,
         record("/plain", [](InodeRecord& r) { r.size = uint64_t(1) << 63; }),
         {"/plain", "/dir/sub/second name"}},
        {"symlink's size", Damage::kFileSize, record("/long", [](InodeRecord& r) { r.size = 3; })},
        {"symlink's target",
         Damage::kSymlink,
         [](Image& i) {
             Surgeon(i).change_value(ino_of("/long"), [](uint64_t, std::byte* value, size_t) {
                 value[5] = std::byte{0};
                 return true;
             });
         },
         {"/long"}},
        {"special file with content", Damage::kSpecialFile,
         record("/fifo",
                [](InodeRecord& r) {
                    TreeNodeEditor root(r.data_root, kDataRootBytes);
                    root.insert(0, 5, std::as_bytes(std::span("content")));
                })},
        {"leaf of attributes",
         Damage::kAttribute,
         [](Image& i) {
             Surgeon s(i);
             s.ruin(s.nodes(ino_of("/tagged"), true).back().block);
         },
         {"/tagged"}},
        {"malformed attribute",
         Damage::kAttribute,
         [](Image& i) {
             Surgeon(i).change_value(
                 ino_of("/tagged"),
                 [](uint64_t, std::byte* value, size_t) {
                     value[0] = std::byte{0xee};
                     return true;
                 },
                 true);
         },
         {"/tagged"}},
        {"malformed ACL",
         Damage::kAttribute,
         [](Image& i) {
             Surgeon(i).change_value(
                 ino_of("/shared"),
                 [](uint64_t, std::byte* value, size_t) {
                     value[sizeof(AttributeHead) + kAclAccessName.size()] = std::byte{9};
                     return true;
                 },
                 true);
         },
         {"/shared"}},
        {"mode that is not the ACL's",
         Damage::kAclMode,
         record("/shared", [](InodeRecord& r) { r.mode = S_IFREG | 0646; }),
         {"/shared"}},
        {"root of attributes", Damage::kAttribute,
         record("/plain", [](InodeRecord& r) { r.xattr_root[0] = std::byte{99}; })},
        {"no root directory",
         Damage::kRoot,
         root_record([](InodeRecord& r) { r.mode = 0; }),
         {"*"}},
        {"root is a file",
         Damage::kRoot,
         root_record([](InodeRecord& r) { r.mode = S_IFREG | 0644; }),
         {"*"}},
        {"malformed entry", Damage::kEntry,
         [=](Image& i) {
             Surgeon s(i);
             change_entry(s, ino_of("/dir"), entry5, [](std::byte* value, size_t) {
                 value[sizeof(EntryValue)] = std::byte{'/'};
             });
         }},
        {"entry under the wrong hash",
         Damage::kEntryHash,
         [=](Image& i) {
             Surgeon s(i);
             change_entry(s, ino_of("/dir"), entry5, [](std::byte* value, size_t) {
                 value[sizeof(EntryValue)] = std::byte{'E'};
             });
         },
         {"/dir/" + entry5}},
        {"name twice", Damage::kEntryTwice,
         [=](Image& i) {
             // In a leaf, the slot behind an entry takes its name and the next key.
             Surgeon s(i);
             s.change(s.leaf(ino_of("/many")), [](Page& page) {
                 TreeNodeEditor node(page.as<TreeBlock>()->area, kBodyBytes);
                 const auto value = node.value(0);
                 const std::vector<std::byte> copy(value.begin(), value.end());
                 const uint64_t key = node.key(0) + 1;
                 while (!node.has_room(copy.size())) node.erase(node.count() - 1);
                 node.insert(1, key, copy);
             });
         },
         below("/many")},
        {"entry of an unused inode", Damage::kEntryUnused,
         [=](Image& i) {
             Surgeon s(i);
             change_entry(s, ino_of("/dir"), entry5,
                          [](std::byte* value, size_t) { set_entry_ino(value, 100000, 8); });
         }},
        {"entry of the wrong type", Damage::kEntryType,
         [=](Image& i) {
             Surgeon s(i);
             change_entry(s, ino_of("/dir"), entry5,
                          [](std::byte* value, size_t) { value[8] = std::byte{S_IFIFO >> 12}; });
         }},
        {"directory with two names", Damage::kDirectoryNames,
         [=](Image& i) {
             Surgeon s(i);
             change_entry(s, ino_of("/dir"), entry5, [](std::byte* value, size_t) {
                 set_entry_ino(value, ino_of("/dir/sub/deep"), S_IFDIR >> 12);
             });
         }},
        {"entry of the root", Damage::kDirectoryNames,
         [=](Image& i) {
             Surgeon s(i);
             change_entry(s, ino_of("/dir"), entry5, [](std::byte* value, size_t) {
                 set_entry_ino(value, kRootIno, S_IFDIR >> 12);
             });
         }},
        {"directories in a circle",
         Damage::kDirectoryLoop,
         [=](Image& i) {
             Surgeon s(i);
             change_entry(s, kRootIno, "dir", [](std::byte* value, size_t) {
                 set_entry_ino(value, ino_of("/fifo"), S_IFIFO >> 12);
             });
             change_entry(s, ino_of("/dir/sub/deep"), "file", [](std::byte* value, size_t) {
                 set_entry_ino(value, ino_of("/dir"), S_IFDIR >> 12);
             });
             s.change_record(ino_of("/dir"),
                             [](InodeRecord& r) { r.parent = ino_of("/dir/sub/deep"); });
         },
         {"/dir"}},
        {"count of entries", Damage::kDirectoryCount,
         root_record([](InodeRecord& r) { r.size = 77; })},
        {"parent", Damage::kParent, record("/dir/sub", [](InodeRecord& r) { r.parent = 9; })},
        {"links of a file", Damage::kLinks, record("/plain", [](InodeRecord& r) { r.nlink = 9; })},
        {"links of a directory", Damage::kLinks, root_record([](InodeRecord& r) { r.nlink = 9; })},
        {"file without a name",
         Damage::kUnnamed,
         [=](Image& i) {
             Surgeon s(i);
             change_entry(s, ino_of("/dir"), entry5, [](std::byte* value, size_t) {
                 set_entry_ino(value, ino_of("/fifo"), S_IFIFO >> 12);
             });
         },
         {"/dir/" + entry5}},
        {"directory without a name",
         Damage::kUnnamed,
         [=](Image& i) {
             Surgeon s(i);
             change_entry(s, kRootIno, "dir", [](std::byte* value, size_t) {
                 set_entry_ino(value, ino_of("/fifo"), S_IFIFO >> 12);
             });
         },
         {"/dir"}},
        {"count of blocks", Damage::kBlockCount,
         record("/plain", [](InodeRecord& r) { r.blocks = 555; })},
        {"pinned directory", Damage::kFlags,
         record("/dir", [](InodeRecord& r) { r.flags = kInodePinned; })},
        {"directory with a name as orphan", Damage::kFlags,
         record("/dir", [](InodeRecord& r) { r.flags = kInodeOrphan; })},
        {"pinned but not listed", Damage::kIndex,
         record("/other", [](InodeRecord& r) { r.flags = kInodePinned; })},
        {"listed but not pinned", Damage::kIndex,
         record("/pinned", [](InodeRecord& r) { r.flags = 0; })},
        {"generation in the list", Damage::kIndex,
         [](Image& i) {
             Surgeon(i).change_value(kPinIndexIno, [](uint64_t, std::byte* value, size_t) {
                 value[0] ^= std::byte{0x70};
                 return true;
             });
         }},
        {"orphan not listed", Damage::kIndex,
         [](Image& i) {
             Surgeon(i).change_record(kOrphanIndexIno, [](InodeRecord& r) {
                 memset(r.data_root, 0, sizeof r.data_root);
             });
         }},
        {"inode bitmap", Damage::kInodeBitmap,
         [](Image& i) {
             Surgeon s(i);
             s.ruin(s.bitmap_block(kRootIno));
         }},
        {"inode in use but marked free", Damage::kInodeBitmap,
         [](Image& i) {
             Surgeon s(i);
             s.change(s.bitmap_block(kRootIno), [](Page& p) {
                 bits_fill(p.as<BitmapBlock>()->bits, ino_of("/plain"), 1, false);
             });
         }},
        {"inode free but marked in use", Damage::kInodeBitmap,
         [](Image& i) {
             Surgeon s(i);
             s.change(s.bitmap_block(kRootIno),
                      [](Page& p) { bits_fill(p.as<BitmapBlock>()->bits, 30000, 5, true); });
         }},
        {"bitmap", Damage::kBitmap, [](Image& i) { Surgeon(i).ruin(1); }},
        {"block in use but marked free", Damage::kBitmap,
         [](Image& i) {
             Surgeon(i).change(1,
                               [](Page& p) { bits_fill(p.as<BitmapBlock>()->bits, 3, 1, false); });
         }},
        {"block marked used but unused", Damage::kBitmap,
         [](Image& i) {
             Surgeon(i).change(
                 1, [](Page& p) { bits_fill(p.as<BitmapBlock>()->bits, 8000, 3, true); });
         }},
        {"bits past the end", Damage::kBitmap,
         [](Image& i) {
             Surgeon(i).change(
                 1, [](Page& p) { bits_fill(p.as<BitmapBlock>()->bits, 32000, 9, false); });
         }},
    };
    return cases;
}

}  // namespace

const std::vector<DamageCase>& damage_cases() {
    static const std::vector<DamageCase> cases = make_cases();
    return cases;
}

}  // namespace exo::test
