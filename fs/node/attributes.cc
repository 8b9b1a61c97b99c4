// SPDX-License-Identifier: MIT
#include "fs/node/attributes.h"

#include <algorithm>
#include <cstring>

#include "fs/base/siphash.h"

namespace exo {

namespace {
constexpr unsigned kErasedPerHandle = 8;  // each may free a leaf in another group

// What the first piece says.
struct Head {
    size_t value_bytes;
    std::string_view name;
    std::span<const std::byte> part;  // of the value
};

bool parse_head(std::span<const std::byte> piece, Head& out) {
    AttributeHead head;
    if (piece.size() < sizeof head || piece.size() > kAttributePieceBytes) return false;
    memcpy(&head, piece.data(), sizeof head);
    if (head.value_bytes > kMaxAttributeValueBytes || head.name_bytes == 0 ||
        piece.size() < sizeof head + head.name_bytes)
        return false;
    out.value_bytes = head.value_bytes;
    out.name = {reinterpret_cast<const char*>(piece.data()) + sizeof head, head.name_bytes};
    out.part = piece.subspan(sizeof head + head.name_bytes);
    const size_t room = kAttributePieceBytes - sizeof head - head.name_bytes;
    return out.part.size() == std::min(room, out.value_bytes) &&
           out.name.find('\0') == std::string_view::npos;
}

uint64_t pieces_of(const Head& head) {
    const size_t rest = head.value_bytes - head.part.size();
    return 1 + (rest + kAttributePieceBytes - 1) / kAttributePieceBytes;
}
}  // namespace

uint64_t attribute_key(const std::array<uint8_t, 16>& hash_key, std::string_view name) {
    return siphash24(hash_key, name) & ~(kAttributeKeysOfHash - 1);
}

std::unexpected<Error> Attributes::malformed() const {
    return fail(EUCLEAN, "the extended attributes of inode " + std::to_string(ino_) +
                             " are malformed: run fsck.exo");
}

Result<std::optional<Attributes::Found>> Attributes::find(std::string_view name) const {
    const uint64_t first = attribute_key(core_.hash_key, name);
    std::optional<Found> found;
    bool good = true;
    EXO_TRY(tree_.scan(first, [&](uint64_t key, std::span<const std::byte> piece) {
        if (key - first >= kAttributeKeysOfHash) return false;
        if (key % kAttributePieces != 0) return true;
        Head head;
        good = parse_head(piece, head);
        if (good && head.name != name) return true;
        if (good) found = Found{key, pieces_of(head)};
        return false;
    }));
    if (!good) return malformed();
    return found;
}

Result<std::optional<Attributes::Value>> Attributes::get(std::string_view name) const {
    EXO_TRY_ASSIGN(const auto found, find(name));
    if (!found) return std::nullopt;
    Value value;
    size_t wanted = 0;
    uint64_t next = found->key;
    bool good = true;
    EXO_TRY(tree_.scan(found->key, [&](uint64_t key, std::span<const std::byte> piece) {
        if (key - found->key >= found->pieces) return false;
        Head head;
        good = key == next++;
        if (good && key == found->key) {
            good = parse_head(piece, head);
            if (!good) return false;
            wanted = head.value_bytes;
            value.reserve(wanted);
            piece = head.part;
        }
        value.insert(value.end(), piece.begin(), piece.end());
        return good && value.size() <= wanted;
    }));
    if (!good || value.size() != wanted) return malformed();
    return value;
}

Result<> Attributes::for_each(const Visitor& visit) const {
    std::string name;
    Value value;
    size_t wanted = 0;
    uint64_t next = 0, left = 0;  // of the attribute being put together
    bool good = true, more = true;
    EXO_TRY(tree_.scan(0, [&](uint64_t key, std::span<const std::byte> piece) {
        good = false;
        if (left == 0) {
            Head head;
            if (key % kAttributePieces != 0 || !parse_head(piece, head)) return false;
            if (attribute_key(core_.hash_key, head.name) != (key & ~(kAttributeKeysOfHash - 1)))
                return false;
            name = head.name;
            value.assign(head.part.begin(), head.part.end());
            wanted = head.value_bytes;
            left = pieces_of(head) - 1;
        } else {
            if (key != next ||
                piece.size() != std::min(kAttributePieceBytes, wanted - value.size()))
                return false;
            value.insert(value.end(), piece.begin(), piece.end());
            left--;
        }
        good = true;
        next = key + 1;
        if (left == 0) more = visit(name, value);
        return more;
    }));
    if (!good || (more && left > 0)) return malformed();
    return {};
}

Result<> Attributes::insert(Handle& handle, std::string_view name,
                            std::span<const std::byte> value) {
    const uint64_t first = attribute_key(core_.hash_key, name);
    uint64_t key = first;
    EXO_TRY(tree_.scan(first, [&](uint64_t taken, std::span<const std::byte>) {
        if (taken - first >= kAttributeKeysOfHash) return false;
        if (taken == key) key += kAttributePieces;
        return taken < key;  // a gap ends it
    }));
    if (key - first >= kAttributeKeysOfHash)
        return fail(ENOSPC, "inode " + std::to_string(ino_) +
                                " has too many extended attributes with the same hash");
    AttributeHead head;
    head.value_bytes = uint32_t(value.size());
    head.name_bytes = uint8_t(name.size());
    std::byte piece[kAttributePieceBytes];
    memcpy(piece, &head, sizeof head);
    memcpy(piece + sizeof head, name.data(), name.size());
    const size_t used = sizeof head + name.size();
    const size_t part = std::min(value.size(), sizeof piece - used);
    if (part > 0) memcpy(piece + used, value.data(), part);
    EXO_TRY(tree_.insert(handle, key, {piece, used + part}));
    for (size_t at = part; at < value.size(); at += kAttributePieceBytes)
        EXO_TRY(tree_.insert(handle, ++key,
                             value.subspan(at, std::min(kAttributePieceBytes, value.size() - at))));
    return {};
}

Result<bool> Attributes::erase(Handle& handle, std::string_view name) {
    EXO_TRY_ASSIGN(const auto found, find(name));
    if (!found) return false;
    // From the end, so that a leaf of it is emptied before the next is looked at.
    for (uint64_t piece = found->pieces; piece-- > 0;) {
        EXO_TRY_ASSIGN(const bool there, tree_.erase(handle, found->key + piece));
        if (!there) return malformed();
    }
    return true;
}

Result<bool> Attributes::erase_some(Handle& handle) {
    std::vector<uint64_t> keys;
    EXO_TRY(tree_.scan(0, [&](uint64_t key, std::span<const std::byte>) {
        keys.push_back(key);
        return keys.size() < kErasedPerHandle;
    }));
    bool erased = false;
    for (uint64_t key : keys) {
        EXO_TRY_ASSIGN(const bool found, tree_.erase(handle, key));
        erased = erased || found;
    }
    EXO_TRY_ASSIGN(const bool empty, tree_.empty());
    // In a damaged tree keys may be where no search finds them: it must not be tried for ever.
    if (!empty && !erased)
        return fail(EUCLEAN, "extended attributes cannot be freed: run fsck.exo");
    return empty;
}

}  // namespace exo
