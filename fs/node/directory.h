// SPDX-License-Identifier: MIT
// Names in a directory: a tree keyed by a keyed hash of the name. The key also is the readdir
// cookie: it stays with its entry for life. "." and ".." are not stored.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/node/tree.h"

namespace exo {

inline constexpr size_t kMaxEntryNameBytes = 255;
// Cookies below are for "." and ".."; no key is smaller.
inline constexpr uint64_t kFirstEntryKey = 256;
inline constexpr unsigned kNameTies = 256;  // names with the same 55-bit hash in one directory

struct Entry {
    uint64_t key;
    Ino ino;
    uint32_t type;  // as mode's type bits
    std::string name;
};

// Smallest key a name may have; it has one of the kNameTies keys from there on.
uint64_t name_key(const std::array<uint8_t, 16>& hash_key, std::string_view name);
bool name_valid(std::string_view name);

class Directory {
  public:
    Directory(const Core& core, InodeTable& inodes, Ino ino, Purpose purpose = Purpose::kMetadata)
        : core_(core), inodes_(inodes), ino_(ino), tree_(core, inodes, ino, purpose) {}

    // REQUIRES for all: reader or handle held.
    Result<std::optional<Entry>> find(std::string_view name) const;
    // REQUIRES: the name is not there. Counts the entry in the directory's size.
    Result<> insert(Handle& handle, std::string_view name, Ino ino, uint32_t type);
    Result<> erase(Handle& handle, const Entry& entry);
    // Points an entry to another inode.
    Result<> replace(Handle& handle, const Entry& entry, Ino ino, uint32_t type);
    // Entries with keys > cookie.
    Result<std::vector<Entry>> list(uint64_t cookie, size_t max_entries) const;
    Result<bool> empty() const { return tree_.empty(); }

  private:
    Result<Entry> decode(uint64_t key, std::span<const std::byte> value) const;
    const Core& core_;
    InodeTable& inodes_;
    Ino ino_;
    Tree tree_;
};

}  // namespace exo
