// SPDX-License-Identifier: MIT
// Extended attributes of one inode: names and values in a second tree of its record. An attribute
// is cut into pieces under successive keys, the first of which also holds the name, so small ones
// lie in the record alone. Namespaces and what single names mean are left to fs/volume.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/node/tree.h"

namespace exo {

inline constexpr size_t kMaxAttributeNameBytes = 255;
inline constexpr size_t kMaxAttributeValueBytes = 65536;
inline constexpr uint64_t kAttributePieces = 256;  // keys that one attribute owns
inline constexpr uint64_t kAttributeTies = 256;    // attributes with the same 48-bit hash
inline constexpr uint64_t kAttributeKeysOfHash = kAttributePieces * kAttributeTies;

// Setting the largest attribute replaces up to 18 leaves by as many, each perhaps in a group of its
// own, with the bitmaps of both. Fits into a transaction of the smallest journal.
inline constexpr unsigned kAttributeCredits = Journal::kMaxHandleCredits;

// The smallest key that an attribute of this name may have.
uint64_t attribute_key(const std::array<uint8_t, 16>& hash_key, std::string_view name);

class Attributes {
  public:
    Attributes(const Core& core, InodeTable& inodes, Ino ino, Purpose purpose = Purpose::kData)
        : core_(core),
          inodes_(inodes),
          ino_(ino),
          tree_(core, inodes, ino, purpose, TreeRoot::kXattr) {}

    using Value = std::vector<std::byte>;
    // REQUIRES for all: reader or handle held.
    Result<bool> empty() const { return tree_.empty(); }
    Result<std::optional<Value>> get(std::string_view name) const;
    // Every attribute, in the order of keys, until the visitor returns false. EUCLEAN where the
    // tree does not hold whole attributes; so it also is the check of them.
    using Visitor = std::function<bool(std::string_view name, std::span<const std::byte> value)>;
    Result<> for_each(const Visitor& visit) const;

    // REQUIRES: there is none of this name; name and value within the limits
    Result<> insert(Handle& handle, std::string_view name, std::span<const std::byte> value);
    Result<bool> erase(Handle& handle, std::string_view name);
    // Takes pieces out of whatever there is, as many as an ordinary handle may. True: none is left.
    // For inodes that nobody can name any more.
    Result<bool> erase_some(Handle& handle);

  private:
    struct Found {
        uint64_t key;
        uint64_t pieces;
    };
    Result<std::optional<Found>> find(std::string_view name) const;
    std::unexpected<Error> malformed() const;

    const Core& core_;
    InodeTable& inodes_;
    Ino ino_;
    Tree tree_;
};

}  // namespace exo
