// SPDX-License-Identifier: MIT
// What the values of trees must look like, by the inode's type. No I/O.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "fs/format/inode.h"
#include "fs/fsck/space.h"
#include "fs/volume/posix_acl.h"

namespace exo::fsck {

struct FileExtent {
    uint64_t file_block;
    BlockNo disk;
    uint64_t count;
    bool unwritten;
};
std::optional<FileExtent> parse_extent(const Space& space, uint64_t key,
                                       std::span<const std::byte> value);

struct DirectoryEntry {
    Ino ino;
    uint8_t type;
    std::string_view name;  // lies in the value
};
std::optional<DirectoryEntry> parse_entry(uint64_t key, std::span<const std::byte> value);
std::vector<std::byte> make_entry(Ino ino, uint8_t type, std::string_view name);

// Attributes come in pieces: feed them in order.
class AttributeChecker {
  public:
    AttributeChecker(const std::array<uint8_t, 16>& hash_key, bool of_directory)
        : hash_key_(hash_key), of_directory_(of_directory) {}
    enum class Verdict : uint8_t { kBad, kPart, kWhole };
    // kBad: this piece fits nowhere. kWhole: the attribute that it ends is complete.
    Verdict feed(uint64_t key, std::span<const std::byte> piece);
    bool between() const { return left_ == 0; }  // no attribute is half read
    bool bad_access_acl() const { return bad_access_acl_; }
    // The access ACL, when the attribute that was whole last is one; else empty.
    const Acl& access_acl() const { return access_acl_; }

  private:
    bool starts(uint64_t key, std::span<const std::byte> piece);
    bool name_allowed(std::string_view name) const;
    Verdict progress();
    const std::array<uint8_t, 16>& hash_key_;
    const bool of_directory_;
    bool bad_access_acl_ = false;
    std::vector<std::byte> acl_;  // the value, if it is an ACL
    bool is_acl_ = false;
    Acl access_acl_;
    uint64_t next_ = 0;
    size_t left_ = 0;  // bytes of the value to come
    uint64_t base_ = UINT64_MAX;
    std::vector<std::string> names_;  // that share the base
};

}  // namespace exo::fsck
