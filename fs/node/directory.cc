// SPDX-License-Identifier: MIT
#include "fs/node/directory.h"

#include <algorithm>
#include <cstring>

#include "fs/base/siphash.h"

namespace exo {

namespace {
size_t encode(std::byte* out, std::string_view name, Ino ino, uint32_t type) {
    EntryValue value;
    value.ino = ino;
    value.type = uint8_t(type >> 12);
    memcpy(out, &value, sizeof value);
    memcpy(out + sizeof value, name.data(), name.size());
    return sizeof value + name.size();
}
}  // namespace

uint64_t name_key(const std::array<uint8_t, 16>& hash_key, std::string_view name) {
    return std::max(siphash24(hash_key, name) >> 1 & ~uint64_t(kNameTies - 1), kFirstEntryKey);
}

bool name_valid(std::string_view name) {
    return !name.empty() && name.size() <= kMaxEntryNameBytes && name != "." && name != ".." &&
           name.find('/') == name.npos && name.find('\0') == name.npos;
}

Result<Entry> Directory::decode(uint64_t key, std::span<const std::byte> bytes) const {
    EntryValue value;
    if (bytes.size() > sizeof value && key >= kFirstEntryKey && key <= INT64_MAX) {
        memcpy(&value, bytes.data(), sizeof value);
        const std::string_view name(reinterpret_cast<const char*>(bytes.data()) + sizeof value,
                                    bytes.size() - sizeof value);
        if (name_valid(name) && value.ino > 0 && value.ino < kMaxIno && value.type < 16)
            return Entry{key, value.ino, uint32_t(value.type) << 12, std::string(name)};
    }
    return fail(EUCLEAN,
                "directory " + std::to_string(ino_) + " has a malformed entry: run fsck.exo");
}

Result<std::optional<Entry>> Directory::find(std::string_view name) const {
    const uint64_t first = name_key(core_.hash_key, name);
    std::optional<Entry> found;
    Result<> outcome;
    EXO_TRY(tree_.scan(first, [&](uint64_t key, std::span<const std::byte> value) {
        if (key - first >= kNameTies) return false;
        if (value.size() != sizeof(EntryValue) + name.size() ||
            memcmp(value.data() + sizeof(EntryValue), name.data(), name.size()) != 0)
            return true;
        auto entry = decode(key, value);
        if (entry)
            found = std::move(*entry);
        else
            outcome = std::unexpected(entry.error());
        return false;
    }));
    EXO_TRY(std::move(outcome));
    return found;
}

Result<> Directory::insert(Handle& handle, std::string_view name, Ino ino, uint32_t type) {
    uint64_t key = name_key(core_.hash_key, name);
    const uint64_t end = key + kNameTies;
    EXO_TRY(tree_.scan(key, [&](uint64_t taken, std::span<const std::byte>) {
        if (taken != key) return false;
        key++;
        return key < end;
    }));
    if (key == end)
        return fail(ENOSPC,
                    "directory " + std::to_string(ino_) + " has too many names with the same hash");
    std::byte value[sizeof(EntryValue) + kMaxEntryNameBytes];
    EXO_TRY(tree_.insert(handle, key, {value, encode(value, name, ino, type)}));
    EXO_TRY_ASSIGN(InodeRecord * record, inodes_.modify(handle, ino_));
    record->size = record->size + 1;
    return {};
}

Result<> Directory::erase(Handle& handle, const Entry& entry) {
    EXO_TRY_ASSIGN(const bool found, tree_.erase(handle, entry.key));
    EXO_TRY_ASSIGN(InodeRecord * record, inodes_.modify(handle, ino_));
    if (!found || record->size == 0)
        return fail(EUCLEAN,
                    "directory " + std::to_string(ino_) + " has lost an entry: run fsck.exo");
    record->size = record->size - 1;
    return {};
}

Result<> Directory::replace(Handle& handle, const Entry& entry, Ino ino, uint32_t type) {
    std::byte value[sizeof(EntryValue) + kMaxEntryNameBytes];
    return tree_.overwrite(handle, entry.key, {value, encode(value, entry.name, ino, type)});
}

Result<std::vector<Entry>> Directory::list(uint64_t cookie, size_t max_entries) const {
    std::vector<Entry> entries;
    Result<> outcome;
    EXO_TRY(tree_.scan(cookie + 1, [&](uint64_t key, std::span<const std::byte> value) {
        if (entries.size() >= max_entries) return false;
        auto entry = decode(key, value);
        if (!entry) {
            outcome = std::unexpected(entry.error());
            return false;
        }
        entries.push_back(std::move(*entry));
        return true;
    }));
    EXO_TRY(std::move(outcome));
    return entries;
}

}  // namespace exo
