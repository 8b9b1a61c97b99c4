// SPDX-License-Identifier: MIT
#include "fs/fsck/values.h"

#include <algorithm>
#include <cstring>

#include "fs/node/attributes.h"
#include "fs/node/directory.h"

namespace exo::fsck {

std::optional<FileExtent> parse_extent(const Space& space, uint64_t key,
                                       std::span<const std::byte> bytes) {
    ExtentValue value;
    if (bytes.size() != sizeof value) return std::nullopt;
    memcpy(&value, bytes.data(), sizeof value);
    const uint64_t count = value.length_blocks;
    if (count == 0 || count > kMaxExtentBlocks || key >= kMaxFileBlocks ||
        count > kMaxFileBlocks - key || (value.flags & ~kExtentUnwritten) != 0 ||
        !space.plausible(value.disk_block, count))
        return std::nullopt;
    return FileExtent{key, value.disk_block, count, (value.flags & kExtentUnwritten) != 0};
}

std::optional<DirectoryEntry> parse_entry(uint64_t key, std::span<const std::byte> bytes) {
    EntryValue value;
    if (bytes.size() <= sizeof value || key < kFirstEntryKey || key > INT64_MAX)
        return std::nullopt;
    memcpy(&value, bytes.data(), sizeof value);
    const std::string_view name(reinterpret_cast<const char*>(bytes.data()) + sizeof value,
                                bytes.size() - sizeof value);
    if (!name_valid(name) || value.ino == 0 || value.ino >= kMaxIno || value.type >= 16)
        return std::nullopt;
    return DirectoryEntry{value.ino, value.type, name};
}

std::vector<std::byte> make_entry(Ino ino, uint8_t type, std::string_view name) {
    EntryValue value;
    value.ino = ino;
    value.type = type;
    std::vector<std::byte> bytes(sizeof value + name.size());
    memcpy(bytes.data(), &value, sizeof value);
    memcpy(bytes.data() + sizeof value, name.data(), name.size());
    return bytes;
}

bool AttributeChecker::name_allowed(std::string_view name) const {
    if (name.find('\0') != name.npos) return false;
    if (name == kAclAccessName || (name == kAclDefaultName && of_directory_)) return true;
    return std::ranges::any_of(std::array<std::string_view, 3>{"user.", "trusted.", "security."},
                               [&](std::string_view space) {
                                   return name.starts_with(space) && name.size() > space.size();
                               });
}

bool AttributeChecker::starts(uint64_t key, std::span<const std::byte> piece) {
    AttributeHead head;
    if (key % kAttributePieces != 0 || piece.size() < sizeof head) return false;
    memcpy(&head, piece.data(), sizeof head);
    const size_t used = sizeof head + head.name_bytes;
    if (head.name_bytes == 0 || head.value_bytes > kMaxAttributeValueBytes || piece.size() < used)
        return false;
    const std::string_view name(reinterpret_cast<const char*>(piece.data()) + sizeof head,
                                head.name_bytes);
    if (!name_allowed(name) ||
        attribute_key(hash_key_, name) != (key & ~(kAttributeKeysOfHash - 1)) ||
        piece.size() - used != std::min<size_t>(kAttributePieceBytes - used, head.value_bytes))
        return false;
    if (const uint64_t base = key & ~(kAttributeKeysOfHash - 1); base != base_) {
        base_ = base;
        names_.clear();
    }
    if (std::ranges::find(names_, name) != names_.end()) return false;
    names_.emplace_back(name);
    is_acl_ = name == kAclAccessName || name == kAclDefaultName;
    acl_.clear();
    if (is_acl_) acl_.assign(piece.begin() + ptrdiff_t(used), piece.end());
    next_ = key + 1;
    left_ = head.value_bytes - (piece.size() - used);
    return true;
}

AttributeChecker::Verdict AttributeChecker::progress() {
    if (left_ > 0) return Verdict::kPart;
    access_acl_.clear();
    if (!is_acl_) return Verdict::kWhole;
    const auto acl = parse_acl(acl_);
    if (acl && !acl->empty()) {
        if (names_.back() == kAclAccessName) access_acl_ = *acl;
        return Verdict::kWhole;
    }
    bad_access_acl_ = bad_access_acl_ || names_.back() == kAclAccessName;
    return Verdict::kBad;
}

AttributeChecker::Verdict AttributeChecker::feed(uint64_t key, std::span<const std::byte> piece) {
    if (left_ == 0) return starts(key, piece) ? progress() : Verdict::kBad;
    if (key != next_ || piece.size() != std::min(kAttributePieceBytes, left_)) {
        left_ = 0;  // what was half read is lost; this may be the start of another
        return Verdict::kBad;
    }
    next_++;
    left_ -= piece.size();
    if (is_acl_) acl_.insert(acl_.end(), piece.begin(), piece.end());
    return progress();
}

}  // namespace exo::fsck
