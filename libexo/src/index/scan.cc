// SPDX-License-Identifier: MIT
// Whole-index work in user space: records in order, and the check of every node.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "error.hpp"
#include "exo_btree.bpf.h"
#include "reader.hpp"

using exo::internal::damaged;
using exo::internal::guarded;
using exo::internal::NodeBuffer;
using exo::internal::PaddedKey;
using exo::internal::read_node;
using exo::internal::read_value;

namespace {

// A slot's whole key, prefix and all. False if it lies outside the node.
bool whole_key(const NodeBuffer& buffer, uint32_t slot, std::string& key) {
    const exo_index_node& node = buffer.node();
    exo_index_slot entry;
    memcpy(&entry, buffer.bytes + EXO_INDEX_SLOTS_AT + slot * sizeof(entry), sizeof(entry));
    constexpr uint32_t end = EXO_INDEX_NODE_BYTES - EXO_INDEX_SLACK_BYTES;
    if (uint32_t{node.prefix_at} + node.prefix_len > end ||
        uint32_t{entry.key_at} + entry.key_len > end ||
        uint32_t{node.prefix_len} + entry.key_len > EXO_INDEX_KEY_MAX) {
        return false;
    }
    key.assign(reinterpret_cast<const char*>(buffer.bytes) + node.prefix_at, node.prefix_len);
    key.append(reinterpret_cast<const char*>(buffer.bytes) + entry.key_at, entry.key_len);
    return true;
}

// Walks the tree from the root and compares all it finds with the header and with itself.
class Verifier {
  public:
    explicit Verifier(const exo_index& index) : index_(index) {}

    int run() {
        const exo_index_header& header = index_.header;
        int error = walk(header.root_offset, header.root_level, nullptr, nullptr);
        if (error) return error;
        if (next_leaf_) return damaged(index_, last_leaf_, "the last leaf names a next one");
        if (records_ != header.records || leaves_ != header.leaf_nodes ||
            inners_ != header.inner_nodes || overflows_ != header.overflow_nodes) {
            return damaged(index_, 0, "its counts are not those of the tree");
        }
        return 0;
    }

  private:
    // Keys below must be >= low and < high.
    int walk(uint64_t offset, uint32_t level, const std::string* low, const std::string* high) {
        NodeBuffer buffer;
        int error = read_node(index_, offset, level ? EXO_INDEX_INNER : EXO_INDEX_LEAF, level,
                              buffer, true);
        if (error) return error;
        const exo_index_node& node = buffer.node();
        if (node.count > EXO_INDEX_SLOTS_MAX || (level && !node.count)) {
            return damaged(index_, offset, "it has an impossible number of keys");
        }
        std::vector<std::string> keys(node.count);
        for (uint32_t slot = level ? 1 : 0; slot < node.count; slot++) {
            if (!whole_key(buffer, slot, keys[slot])) {
                return damaged(index_, offset, "a key lies outside it");
            }
            const std::string* before = slot > (level ? 1u : 0u) ? &keys[slot - 1] : nullptr;
            if ((before && *before >= keys[slot]) || (low && keys[slot] < *low) ||
                (high && keys[slot] >= *high)) {
                return damaged(index_, offset, "its keys are out of order");
            }
        }
        if (!level) return leaf(buffer);
        inners_++;
        for (uint32_t slot = 0; slot < node.count; slot++) {
            __u64 child = 0;
            if (exo_btree_child(buffer.bytes, slot, &child)) {
                return damaged(index_, offset, "a pointer lies outside it");
            }
            error = walk(child, level - 1, slot ? &keys[slot] : low,
                         slot + 1u < node.count ? &keys[slot + 1] : high);
            if (error) return error;
        }
        return 0;
    }

    int leaf(const NodeBuffer& buffer) {
        const exo_index_node& node = buffer.node();
        uint64_t expected = leaves_ ? next_leaf_ : index_.header.first_leaf;
        if (node.offset != expected) {
            return damaged(index_, leaves_ ? last_leaf_ : 0, "it names another next leaf");
        }
        last_leaf_ = node.offset;
        next_leaf_ = node.next;
        leaves_++;
        for (uint32_t slot = 0; slot < node.count; slot++) {
            size_t length = 0;
            uint32_t nodes = 0;
            int error = read_value(index_, buffer, slot, true, nullptr, 0, &length, &nodes);
            if (error) return error;
            overflows_ += nodes;
            records_++;
        }
        return 0;
    }

    const exo_index& index_;
    uint64_t next_leaf_ = 0;
    uint64_t last_leaf_ = 0;
    uint64_t records_ = 0;
    uint64_t leaves_ = 0;
    uint64_t inners_ = 0;
    uint64_t overflows_ = 0;
};

// The leaf and slot where a scan from a key starts.
int find_start(const exo_index& index, const PaddedKey& key, NodeBuffer& buffer, uint32_t& slot) {
    __u64 offset = index.header.root_offset;
    for (uint32_t level = index.header.root_level;; level--) {
        int error =
            read_node(index, offset, level ? EXO_INDEX_INNER : EXO_INDEX_LEAF, level, buffer, true);
        if (error) return error;
        exo_btree_place place = {};
        if (exo_btree_search(buffer.bytes, key.data(), key.size(), PaddedKey::kBytes, &place)) {
            return damaged(index, offset, "its keys lie outside it");
        }
        if (!level) {
            slot = place.slot;
            return 0;
        }
        if (exo_btree_child(buffer.bytes, place.slot, &offset)) {
            return damaged(index, offset, "a pointer lies outside it");
        }
    }
}

}  // namespace

int exo_index__scan(const struct exo_index* index, const void* from, size_t from_len,
                    int (*each)(const void* key, size_t key_len, const void* value,
                                size_t value_len, void* context),
                    void* context) {
    return guarded([&] {
        NodeBuffer buffer = {};
        uint32_t slot = 0;
        size_t size = std::min<size_t>(from ? from_len : 0, EXO_INDEX_KEY_MAX);
        int error =
            find_start(*index, PaddedKey({static_cast<const char*>(from), size}), buffer, slot);
        if (error) return error;
        std::string key;
        std::vector<char> value(EXO_INDEX_VALUE_MAX);
        // Leaves lie in file order, so a `next` that does not lead forward is damage, not a loop.
        for (;;) {
            const exo_index_node& node = buffer.node();
            if (node.count > EXO_INDEX_SLOTS_MAX) {
                return damaged(*index, node.offset, "it has an impossible number of keys");
            }
            for (; slot < node.count; slot++) {
                if (!whole_key(buffer, slot, key)) {
                    return damaged(*index, node.offset, "a key lies outside it");
                }
                size_t length = 0;
                uint32_t nodes = 0;
                error = read_value(*index, buffer, slot, true, value.data(), value.size(), &length,
                                   &nodes);
                if (error) return error;
                int stop = each(key.data(), key.size(), value.data(), length, context);
                if (stop) return stop;
            }
            uint64_t next = node.next;
            if (!next) return 0;
            if (next <= node.offset) {
                return damaged(*index, node.offset, "the next leaf lies before it");
            }
            error = read_node(*index, next, EXO_INDEX_LEAF, 0, buffer, true);
            if (error) return error;
            slot = 0;
        }
    });
}

int exo_index__verify(const struct exo_index* index) {
    return guarded([&] { return Verifier(*index).run(); });
}
