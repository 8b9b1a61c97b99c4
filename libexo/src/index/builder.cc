// SPDX-License-Identifier: MIT
// Builds an index file in one go: collects records in memory, sorts them, writes leaves from left
// to right and the inner levels above them. The layout is exo_index.h's; nothing here reads an
// index.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crc32c.hpp"
#include "error.hpp"
#include "exo/exo.h"
#include "exo_index.h"
#include "info.hpp"
#include "sizes.hpp"

using exo::internal::errno_text;
using exo::internal::fail;
using exo::internal::give_structure;
using exo::internal::guarded;
using exo::internal::info_of;
using exo::internal::node_checksum;
using exo::internal::take_options;

namespace {

constexpr uint64_t kDefaultMemoryLimit = uint64_t{4} << 30;
constexpr size_t kArenaBytes = size_t{4} << 20;
constexpr size_t kWriteBytes = size_t{1} << 20;
constexpr size_t kHeapEnd = EXO_INDEX_NODE_BYTES - EXO_INDEX_SLACK_BYTES;

struct Record {
    const char* bytes;  // key, then value
    uint32_t value_len;
    uint32_t key_len;
    std::string_view key() const { return {bytes, key_len}; }
    std::string_view value() const { return {bytes + key_len, value_len}; }
};

// Node numbers that a parent needs: the least key that belongs below, and where.
struct Child {
    std::string separator;
    uint64_t offset;
};

size_t common_prefix(std::string_view a, std::string_view b) {
    size_t most = std::min(a.size(), b.size());
    size_t at = 0;
    while (at < most && a[at] == b[at]) at++;
    return at;
}

// FNV-1a, to tell builds apart.
uint64_t hash(uint64_t state, std::string_view bytes) {
    for (unsigned char byte : bytes) state = (state ^ byte) * 0x100000001b3u;
    return state;
}

// Writes nodes one after another, from offset 0 on.
class NodeWriter {
  public:
    NodeWriter(int fd, uint64_t build_id) : fd_(fd), build_id_(build_id) {
        buffer_.reserve(kWriteBytes);
    }
    uint64_t next_offset() const { return offset_; }

    // Completes a node's start and appends it. The offset it got is next_offset() before.
    int append(unsigned char* bytes, exo_index_node node) {
        node.magic = EXO_INDEX_MAGIC;
        node.offset = offset_;
        node.build_id = build_id_;
        seal(bytes, node);
        buffer_.append(reinterpret_cast<char*>(bytes), EXO_INDEX_NODE_BYTES);
        offset_ += EXO_INDEX_NODE_BYTES;
        return buffer_.size() >= kWriteBytes ? flush() : 0;
    }
    int flush() {
        int error = write_at(buffer_.data(), buffer_.size(), offset_ - buffer_.size());
        buffer_.clear();
        return error;
    }
    // The header goes last: a file whose build was interrupted has none.
    int header(exo_index_header& header) {
        unsigned char bytes[EXO_INDEX_NODE_BYTES] = {};
        header.node.magic = EXO_INDEX_MAGIC;
        header.node.kind = EXO_INDEX_HEADER;
        header.node.build_id = build_id_;
        memcpy(bytes, &header, sizeof(header));
        seal(bytes, header.node);
        return write_at(reinterpret_cast<char*>(bytes), sizeof(bytes), 0);
    }
    void skip_header() { offset_ = EXO_INDEX_NODE_BYTES; }

  private:
    static void seal(unsigned char* bytes, exo_index_node node) {
        node.checksum = 0;
        memcpy(bytes, &node, sizeof(node));
        node.checksum = node_checksum(bytes);
        memcpy(bytes, &node, sizeof(node));
    }
    int write_at(const char* data, size_t size, uint64_t offset) {
        while (size) {
            ssize_t done = pwrite(fd_, data, size, static_cast<off_t>(offset));
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) {
                int code = done < 0 ? errno : EIO;
                return fail(code, "cannot write the index at offset %llu: %s",
                            static_cast<unsigned long long>(offset), errno_text(code).c_str());
            }
            data += done;
            size -= static_cast<size_t>(done);
            offset += static_cast<uint64_t>(done);
        }
        return 0;
    }

    int fd_;
    uint64_t build_id_;
    uint64_t offset_ = 0;
    std::string buffer_;
};

// Entries that will make up one leaf or inner node, as long as they fit. Keys are sorted, so that
// what the first and the last start with, all start with.
class NodeFill {
  public:
    // `payload` bytes follow the key. Slot 0 of an inner node has an empty key that is not
    // compared, so it is left out of the prefix.
    bool add(std::string_view key, std::string payload, bool uncompared = false) {
        size_t prefix = prefix_;
        size_t compared = compared_;
        if (!uncompared) {
            prefix = compared ? std::min(prefix, common_prefix(first_, key)) : key.size();
            compared++;
        }
        size_t keys = key_bytes_ + (uncompared ? 0 : key.size());
        size_t payloads = payload_bytes_ + payload.size();
        size_t slots = (entries_.size() + 1) * sizeof(exo_index_slot);
        size_t need = EXO_INDEX_SLOTS_AT + slots + keys - prefix * compared + prefix + payloads;
        if (need > kHeapEnd) return false;
        if (!uncompared && !compared_) first_ = key;
        prefix_ = prefix;
        compared_ = compared;
        key_bytes_ = keys;
        payload_bytes_ = payloads;
        entries_.push_back({uncompared ? std::string_view() : key, std::move(payload), uncompared});
        return true;
    }
    bool empty() const { return entries_.empty(); }
    size_t size() const { return entries_.size(); }
    void clear() { *this = NodeFill(); }

    // Lays the entries out; returns the fields of the node's start that depend on them.
    exo_index_node lay_out(unsigned char* bytes) const {
        memset(bytes, 0, EXO_INDEX_NODE_BYTES);
        exo_index_node node = {};
        node.count = static_cast<uint16_t>(entries_.size());
        size_t at = EXO_INDEX_SLOTS_AT + entries_.size() * sizeof(exo_index_slot);
        node.prefix_at = static_cast<uint16_t>(at);
        node.prefix_len = static_cast<uint16_t>(prefix_);
        at = put(bytes, at, first_.substr(0, prefix_));
        for (size_t i = 0; i < entries_.size(); i++) {
            const Entry& entry = entries_[i];
            std::string_view key = entry.key.substr(entry.uncompared ? 0 : prefix_);
            exo_index_slot slot = {};
            slot.key_at = static_cast<uint16_t>(at);
            slot.key_len = static_cast<uint16_t>(key.size());
            for (size_t byte = 0; byte < 4; byte++) {
                unsigned char value = byte < key.size() ? static_cast<unsigned char>(key[byte]) : 0;
                slot.head = slot.head << 8 | value;
            }
            memcpy(bytes + EXO_INDEX_SLOTS_AT + i * sizeof(slot), &slot, sizeof(slot));
            at = put(bytes, at, key);
            at = put(bytes, at, entry.payload);
        }
        return node;
    }

  private:
    // Returns where the next bytes go.
    static size_t put(unsigned char* bytes, size_t at, std::string_view what) {
        if (!what.empty()) memcpy(bytes + at, what.data(), what.size());
        return at + what.size();
    }
    struct Entry {
        std::string_view key;
        std::string payload;
        bool uncompared;
    };
    std::vector<Entry> entries_;
    std::string_view first_;
    size_t prefix_ = 0;
    size_t compared_ = 0;
    size_t key_bytes_ = 0;
    size_t payload_bytes_ = 0;
};

template <typename Number>
std::string bytes_of(Number number) {
    return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

size_t overflow_nodes(size_t value_len) {
    if (value_len <= EXO_INDEX_INLINE_MAX) return 0;
    return (value_len + EXO_INDEX_OVERFLOW_BYTES - 1) / EXO_INDEX_OVERFLOW_BYTES;
}

// The tree over sorted records without duplicates.
class TreeWriter {
  public:
    TreeWriter(int fd, const std::vector<Record>& records, uint64_t build_id)
        : records_(records), writer_(fd, build_id) {}

    int write(exo_index_header& header) {
        writer_.skip_header();
        header.first_leaf = writer_.next_offset();
        int error = write_leaves();
        header.overflow_nodes = overflow_count_;
        header.leaf_nodes = level_.size();
        while (!error && level_.size() > 1) {
            header.root_level++;
            error = write_inner(static_cast<uint8_t>(header.root_level));
            header.inner_nodes += level_.size();
        }
        if (!error) error = writer_.flush();
        if (error) return error;
        header.root_offset = level_.front().offset;
        header.file_bytes = writer_.next_offset();
        return writer_.header(header);
    }

  private:
    int write_leaves() {
        size_t at = 0;
        do {
            NodeFill fill;
            size_t first = at;
            size_t overflow = 0;
            uint64_t leaf = writer_.next_offset();
            for (; at < records_.size(); at++) {
                const Record& record = records_[at];
                std::string payload = bytes_of(record.value_len);
                size_t nodes = overflow_nodes(record.value_len);
                if (nodes) {
                    payload += bytes_of<uint64_t>(leaf + (1 + overflow) * EXO_INDEX_NODE_BYTES);
                } else {
                    payload += record.value();
                }
                if (!fill.add(record.key(), std::move(payload))) break;
                overflow += nodes;
            }
            bool last = at == records_.size();
            level_.push_back({separator(first), leaf});
            unsigned char bytes[EXO_INDEX_NODE_BYTES];
            exo_index_node node = fill.lay_out(bytes);
            node.kind = EXO_INDEX_LEAF;
            node.next = last ? 0 : leaf + (1 + overflow) * EXO_INDEX_NODE_BYTES;
            int error = writer_.append(bytes, node);
            for (size_t i = first; i < at && !error; i++) error = write_overflow(records_[i]);
            if (error) return error;
        } while (at < records_.size());
        return 0;
    }

    int write_overflow(const Record& record) {
        size_t nodes = overflow_nodes(record.value_len);
        std::string_view rest = record.value();
        for (size_t left = nodes; left-- > 0;) {
            unsigned char bytes[EXO_INDEX_NODE_BYTES] = {};
            std::string_view piece = rest.substr(0, EXO_INDEX_OVERFLOW_BYTES);
            rest.remove_prefix(piece.size());
            memcpy(bytes + EXO_INDEX_OVERFLOW_AT, piece.data(), piece.size());
            exo_index_node node = {};
            node.kind = EXO_INDEX_OVERFLOW;
            node.level = static_cast<uint8_t>(left);
            node.count = static_cast<uint16_t>(piece.size());
            node.next = left ? writer_.next_offset() + EXO_INDEX_NODE_BYTES : 0;
            int error = writer_.append(bytes, node);
            if (error) return error;
        }
        overflow_count_ += nodes;
        return 0;
    }

    // The shortest string that is over the record before and not over this one.
    std::string separator(size_t record) const {
        if (record == 0) return {};
        std::string_view key = records_[record].key();
        return std::string(key.substr(0, common_prefix(records_[record - 1].key(), key) + 1));
    }

    int write_inner(uint8_t level) {
        std::vector<Child> above;
        size_t at = 0;
        while (at < level_.size()) {
            NodeFill fill;
            size_t first = at;
            for (; at < level_.size(); at++) {
                // The last node would be left with one child; take one from this node for it.
                if (at + 2 == level_.size() && fill.size() > 2 && !fits_two(fill, at)) break;
                if (!fill.add(level_[at].separator, bytes_of(level_[at].offset), at == first)) {
                    break;
                }
            }
            above.push_back({level_[first].separator, writer_.next_offset()});
            unsigned char bytes[EXO_INDEX_NODE_BYTES];
            exo_index_node node = fill.lay_out(bytes);
            node.kind = EXO_INDEX_INNER;
            node.level = level;
            int error = writer_.append(bytes, node);
            if (error) return error;
        }
        level_ = std::move(above);
        return 0;
    }

    bool fits_two(NodeFill fill, size_t at) const {
        return fill.add(level_[at].separator, bytes_of(level_[at].offset)) &&
               fill.add(level_[at + 1].separator, bytes_of(level_[at + 1].offset));
    }

    const std::vector<Record>& records_;
    NodeWriter writer_;
    std::vector<Child> level_;
    uint64_t overflow_count_ = 0;
};

}  // namespace

struct exo_index_builder {
    exo_index_builder_options options;
    std::deque<std::unique_ptr<char[]>> arenas;
    size_t arena_left = 0;
    char* arena_at = nullptr;
    std::vector<Record> records;
    uint64_t memory_bytes = 0;

    char* take(size_t size) {
        if (size > arena_left) {
            size_t bytes = std::max(size, kArenaBytes);
            arenas.push_back(std::make_unique<char[]>(bytes));
            arena_at = arenas.back().get();
            arena_left = bytes;
        }
        char* taken = arena_at;
        arena_at += size;
        arena_left -= size;
        return taken;
    }
    void clear() {
        records = {};
        arenas.clear();
        arena_left = 0;
        memory_bytes = 0;
    }
};

namespace {

std::string printable(std::string_view key) {
    std::string text;
    for (unsigned char byte : key.substr(0, 60)) {
        text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '?';
    }
    return key.size() > 60 ? text + "..." : text;
}

// Sorts and applies the rule for duplicates. Returns how many were left out, or a negative errno.
int64_t sort_records(std::vector<Record>& records, uint32_t duplicates) {
    auto less = [](const Record& a, const Record& b) { return a.key() < b.key(); };
    auto equal = [](const Record& a, const Record& b) { return a.key() == b.key(); };
    if (!std::is_sorted(records.begin(), records.end(), less)) {
        std::stable_sort(records.begin(), records.end(), less);
    }
    if (duplicates == EXO_DUPLICATES_ERROR) {
        auto twice = std::adjacent_find(records.begin(), records.end(), equal);
        if (twice == records.end()) return 0;
        return fail(EEXIST, "key \"%s\" occurs more than once", printable(twice->key()).c_str());
    }
    size_t kept = 0;
    for (size_t i = 0; i < records.size(); i++) {
        if (kept && equal(records[kept - 1], records[i])) {
            if (duplicates == EXO_DUPLICATES_LAST) records[kept - 1] = records[i];
        } else {
            records[kept++] = records[i];
        }
    }
    auto left_out = static_cast<int64_t>(records.size() - kept);
    records.resize(kept);
    return left_out;
}

}  // namespace

int exo_index_builder__new(const struct exo_index_builder_options* given,
                           struct exo_index_builder** builder) {
    return guarded([&] {
        exo_index_builder_options options;
        int error = take_options(given, options);
        if (error) return error;
        if (options.duplicates > EXO_DUPLICATES_LAST || options.reserved) {
            return fail(EINVAL, "unknown options for an index");
        }
        if (!options.memory_limit_bytes) options.memory_limit_bytes = kDefaultMemoryLimit;
        *builder = new exo_index_builder{};
        (*builder)->options = options;
        return 0;
    });
}

int exo_index_builder__add(struct exo_index_builder* builder, const void* key, size_t key_len,
                           const void* value, size_t value_len) {
    return guarded([&] {
        std::string_view key_bytes(static_cast<const char*>(key), key_len);
        if (key_len > EXO_INDEX_KEY_MAX) {
            return fail(EMSGSIZE, "key \"%s\" has %zu bytes, over the limit of %u",
                        printable(key_bytes).c_str(), key_len, EXO_INDEX_KEY_MAX);
        }
        if (value_len > EXO_INDEX_VALUE_MAX) {
            return fail(EMSGSIZE, "the value of key \"%s\" has %zu bytes, over the limit of %u",
                        printable(key_bytes).c_str(), value_len, EXO_INDEX_VALUE_MAX);
        }
        uint64_t cost = key_len + value_len + sizeof(Record);
        if (builder->memory_bytes + cost > builder->options.memory_limit_bytes) {
            return fail(ENOMEM, "the records are over the memory limit of %llu bytes",
                        static_cast<unsigned long long>(builder->options.memory_limit_bytes));
        }
        char* bytes = builder->take(key_len + value_len);
        if (key_len) memcpy(bytes, key, key_len);
        if (value_len) memcpy(bytes + key_len, value, value_len);
        builder->records.push_back(
            {bytes, static_cast<uint32_t>(value_len), static_cast<uint32_t>(key_len)});
        builder->memory_bytes += cost;
        return 0;
    });
}

int exo_index_builder__finish(struct exo_index_builder* builder, int fd,
                              struct exo_index_info* info, size_t bytes) {
    return guarded([&] {
        struct stat status;
        if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size != 0) {
            return fail(EINVAL, "an index is written to an empty regular file");
        }
        int64_t left_out = sort_records(builder->records, builder->options.duplicates);
        if (left_out < 0) return static_cast<int>(left_out);
        exo_index_header header = {};
        header.version = EXO_INDEX_VERSION;
        header.node_bytes = EXO_INDEX_NODE_BYTES;
        header.records = builder->records.size();
        uint64_t build_id = 0xcbf29ce484222325u;
        for (const Record& record : builder->records) {
            build_id = hash(build_id, bytes_of(record.key_len) + bytes_of(record.value_len));
            build_id = hash(build_id, {record.bytes, size_t{record.key_len} + record.value_len});
            header.key_bytes += record.key_len;
            header.value_bytes += record.value_len;
            header.max_key_bytes = std::max(header.max_key_bytes, record.key_len);
            header.max_value_bytes = std::max(header.max_value_bytes, record.value_len);
        }
        TreeWriter tree(fd, builder->records, build_id);
        int error = tree.write(header);
        if (error) return error;
        if (fsync(fd) < 0) {
            int code = errno;
            return fail(code, "cannot sync the index: %s", errno_text(code).c_str());
        }
        builder->clear();
        exo_index_info made = info_of(header);
        made.duplicates = static_cast<uint64_t>(left_out);
        give_structure(made, info, bytes);
        return 0;
    });
}

void exo_index_builder__free(struct exo_index_builder* builder) {
    delete builder;
}
