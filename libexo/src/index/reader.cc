// SPDX-License-Identifier: MIT
// Opens index files and looks keys up in them by plain reads; by the kernel's traversals is
// kernel_lookup.cc's.
#include "reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "crc32c.hpp"
#include "error.hpp"
#include "exo_btree.bpf.h"
#include "info.hpp"
#include "kernel_lookup.hpp"
#include "sizes.hpp"

using exo::internal::damaged;
using exo::internal::errno_text;
using exo::internal::fail;
using exo::internal::Fd;
using exo::internal::FirstError;
using exo::internal::give_lookup;
using exo::internal::give_structure;
using exo::internal::guarded;
using exo::internal::info_of;
using exo::internal::lookup_kernel;
using exo::internal::lookup_kernel_batch;
using exo::internal::node_checksum;
using exo::internal::NodeBuffer;
using exo::internal::PaddedKey;
using exo::internal::read_node;
using exo::internal::read_value;
using exo::internal::take_lookup;
using exo::internal::take_options;

namespace exo::internal {
namespace {

// Reads exactly one node's bytes. 1: the file ends before.
int read_block(const exo_index& index, uint64_t offset, void* bytes) {
    size_t done = 0;
    while (done < EXO_INDEX_NODE_BYTES) {
        ssize_t got = pread(index.file.get(), static_cast<char*>(bytes) + done,
                            EXO_INDEX_NODE_BYTES - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            int code = errno;
            unsigned long long at = offset + done;
            return fail(code, "%s: cannot read at offset %llu: %s", index.name.c_str(), at,
                        errno_text(code).c_str());
        }
        if (got == 0) return 1;
        done += static_cast<size_t>(got);
    }
    return 0;
}

}  // namespace

PaddedKey::PaddedKey(std::string_view key) : size_(static_cast<uint32_t>(key.size())) {
    if (!key.empty()) memcpy(bytes_, key.data(), key.size());
    memset(bytes_ + key.size(), 0, EXO_INDEX_SLACK_BYTES);
}

int take_lookup(const exo_lookup* given, exo_lookup& lookup) {
    int error = take_options(given, lookup);
    if (error) return error;
    lookup.value_len = 0;
    lookup.hops = lookup.direct = lookup.deferred = lookup.polled = lookup.dispatched = 0;
    lookup.engine = EXO_ENGINE_AUTO;
    lookup.elapsed_ns = 0;
    return 0;
}

void give_lookup(exo_lookup& lookup, exo_lookup* given) {
    if (!given) return;
    lookup.size = given->size;
    give_structure(lookup, given, given->size);
}

int damaged(const exo_index& index, uint64_t offset, const char* what) {
    return fail(EBADMSG, "%s: the node at offset %llu is damaged (%s): build the index again",
                index.name.c_str(), static_cast<unsigned long long>(offset), what);
}

int read_node(const exo_index& index, uint64_t offset, exo_index_kind kind, uint32_t level,
              NodeBuffer& buffer, bool checksum) {
    if (offset % EXO_INDEX_NODE_BYTES || offset >= index.header.file_bytes) {
        return damaged(index, offset, "a pointer leads outside the index");
    }
    int error = read_block(index, offset, buffer.bytes);
    if (error > 0) return damaged(index, offset, "the file ends before it");
    if (error) return error;
    const exo_index_node& node = buffer.node();
    if (exo_btree_check(buffer.bytes, offset, index.header.node.build_id)) {
        return damaged(index, offset, "it is no node of this index");
    }
    if (checksum && node.checksum != node_checksum(buffer.bytes)) {
        return damaged(index, offset, "wrong checksum");
    }
    if (node.kind != kind || node.level != level) {
        return damaged(index, offset, "not the kind of node that belongs there");
    }
    return 0;
}

int read_value(const exo_index& index, const NodeBuffer& leaf, uint32_t slot, bool checksum,
               void* value, size_t capacity, size_t* length, uint32_t* nodes) {
    struct exo_btree_value place;
    if (exo_btree_value(leaf.bytes, slot, &place)) {
        return damaged(index, leaf.node().offset, "a value lies outside it");
    }
    *length = place.len;
    if (!place.overflow) {
        size_t size = std::min<size_t>(capacity, place.len);
        if (size) memcpy(value, leaf.bytes + place.at, size);
        return 0;
    }
    uint64_t offset = place.overflow;
    size_t done = 0;
    NodeBuffer buffer;
    for (uint32_t left = (place.len - 1) / EXO_INDEX_OVERFLOW_BYTES + 1; left-- > 0;) {
        int error = read_node(index, offset, EXO_INDEX_OVERFLOW, left, buffer, checksum);
        if (error) return error;
        ++*nodes;
        size_t want = std::min<size_t>(place.len - done, EXO_INDEX_OVERFLOW_BYTES);
        if (buffer.node().count != want) return damaged(index, offset, "wrong length");
        if (done < capacity) {
            memcpy(static_cast<char*>(value) + done, buffer.bytes + EXO_INDEX_OVERFLOW_AT,
                   std::min(want, capacity - done));
        }
        done += want;
        offset += EXO_INDEX_NODE_BYTES;
    }
    return 0;
}

}  // namespace exo::internal

namespace {

int read_header(exo_index& index) {
    NodeBuffer buffer;
    int error = exo::internal::read_block(index, 0, buffer.bytes);
    if (error < 0) return error;
    memcpy(&index.header, buffer.bytes, sizeof(index.header));
    const exo_index_header& header = index.header;
    const char* name = index.name.c_str();
    if (error > 0 || header.node.magic != EXO_INDEX_MAGIC || header.node.kind != EXO_INDEX_HEADER) {
        return fail(EBADMSG, "%s is not an index file (make one with exo index build)", name);
    }
    if (header.version != EXO_INDEX_VERSION || header.node_bytes != EXO_INDEX_NODE_BYTES) {
        return fail(EBADMSG, "%s is an index of version %u, and this program reads version %u",
                    name, header.version, EXO_INDEX_VERSION);
    }
    if (header.node.checksum != node_checksum(buffer.bytes)) {
        return damaged(index, 0, "wrong checksum");
    }
    if (header.root_level > EXO_INDEX_LEVEL_MAX || header.max_key_bytes > EXO_INDEX_KEY_MAX ||
        header.max_value_bytes > EXO_INDEX_VALUE_MAX) {
        return damaged(index, 0, "bounds exceeded");
    }
    return 0;
}

// Goes down to the leaf where a key belongs.
int descend(const exo_index& index, const PaddedKey& key, bool checksum, NodeBuffer& buffer,
            exo_btree_place& place, uint32_t& hops) {
    __u64 offset = index.header.root_offset;
    for (uint32_t level = index.header.root_level;; level--) {
        int error = read_node(index, offset, level ? EXO_INDEX_INNER : EXO_INDEX_LEAF, level,
                              buffer, checksum);
        if (error) return error;
        hops++;
        if (exo_btree_search(buffer.bytes, key.data(), key.size(), PaddedKey::kBytes, &place)) {
            return damaged(index, offset, "its keys lie outside it");
        }
        if (!level) return 0;
        if (exo_btree_child(buffer.bytes, place.slot, &offset)) {
            return damaged(index, offset, "a pointer lies outside it");
        }
    }
}

int lookup_user(const exo_index& index, const PaddedKey& key, exo_lookup& lookup) {
    bool checksum = !(index.options.flags & EXO_INDEX_SKIP_CHECKSUMS);
    NodeBuffer leaf = {};
    exo_btree_place place = {};
    int error = descend(index, key, checksum, leaf, place, lookup.hops);
    if (error) return error;
    if (!place.equal) return 0;
    error = read_value(index, leaf, place.slot, checksum, lookup.value,
                       lookup.value ? lookup.value_capacity : 0, &lookup.value_len, &lookup.hops);
    return error ? error : 1;
}

int open_grant(exo_index& index) {
    exo_grant_options options = {};
    options.size = sizeof(options);
    options.in_flight_limit = index.options.in_flight_limit;
    int grant = exo_grant__open(index.file.get(), &options);
    if (grant < 0) return fail(-grant, "%s: %s", index.name.c_str(), exo_last_error());
    index.grant = Fd(grant);
    const char* program = index.options.program ? index.options.program : "btree_lookup";
    return exo_program__find(program, &index.program_id);
}

}  // namespace

int exo_index__open(int fd, const struct exo_index_options* given, struct exo_index** out) {
    return guarded([&] {
        auto index = std::make_unique<exo_index>();
        int error = take_options(given, index->options);
        if (error) return error;
        if (index->options.mode > EXO_INDEX_KERNEL ||
            index->options.flags & ~EXO_INDEX_SKIP_CHECKSUMS) {
            return fail(EINVAL, "unknown options for an index");
        }
        index->name = index->options.name ? index->options.name : "index";
        index->file = Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (index->file.get() < 0) {
            int code = errno;
            return fail(code, "%s: %s", index->name.c_str(), errno_text(code).c_str());
        }
        error = read_header(*index);
        if (!error && index->options.mode == EXO_INDEX_KERNEL) error = open_grant(*index);
        if (error) return error;
        index->options.name = nullptr;
        index->options.program = nullptr;
        *out = index.release();
        return 0;
    });
}

void exo_index__close(struct exo_index* index) {
    delete index;
}

int exo_index__info(const struct exo_index* index, struct exo_index_info* info, size_t bytes) {
    give_structure(info_of(index->header), info, bytes);
    return 0;
}

int exo_index__lookup(const struct exo_index* index, const void* key, size_t key_len,
                      struct exo_lookup* given) {
    return guarded([&] {
        exo_lookup lookup;
        int error = take_lookup(given, lookup);
        if (error) return error;
        std::string_view text(static_cast<const char*>(key), key_len);
        int answer;
        if (key_len > EXO_INDEX_KEY_MAX) {
            answer = 0; /* no index holds such a key */
        } else if (index->options.mode == EXO_INDEX_KERNEL) {
            answer = lookup_kernel(*index, text, lookup);
        } else {
            answer = lookup_user(*index, PaddedKey(text), lookup);
        }
        give_lookup(lookup, given);
        return answer;
    });
}

int exo_index__lookup_batch(const struct exo_index* index, struct exo_index_query* queries,
                            size_t count) {
    return guarded([&] {
        if (index->options.mode == EXO_INDEX_KERNEL) {
            return lookup_kernel_batch(*index, queries, count);
        }
        FirstError first;
        int found = 0;
        for (size_t at = 0; at < count; at++) {
            exo_index_query& query = queries[at];
            query.answer = exo_index__lookup(index, query.key, query.key_len, query.lookup);
            if (query.answer < 0) first.note(query.answer);
            found += query.answer == 1;
        }
        return first.answer_or(found);
    });
}
