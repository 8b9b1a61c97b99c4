// SPDX-License-Identifier: MIT
// Reads nodes of an index through a file descriptor and checks them. Shared by lookup, scan and
// verify; with it, how a caller's exo_lookup comes in and goes out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "../fd.hpp"
#include "exo/exo.h"
#include "exo_index.h"

struct exo_index {
    exo::internal::Fd file;
    exo::internal::Fd grant;
    std::string name;
    exo_index_header header = {};
    exo_index_options options = {};
    uint32_t program_id = 0;
};

namespace exo::internal {

struct alignas(8) NodeBuffer {
    unsigned char bytes[EXO_INDEX_NODE_BYTES];
    const exo_index_node& node() const { return *reinterpret_cast<const exo_index_node*>(bytes); }
};

// A key with the zeros that searching wants behind it.
class PaddedKey {
  public:
    explicit PaddedKey(std::string_view key);
    const void* data() const { return bytes_; }
    uint32_t size() const { return size_; }
    static constexpr uint32_t kBytes = EXO_INDEX_KEY_MAX + EXO_INDEX_SLACK_BYTES;

  private:
    alignas(8) unsigned char bytes_[kBytes];
    uint32_t size_;
};

// Reads the node at an offset; it is of this index, of this kind and level, and undamaged. -EBADMSG
// if not.
int read_node(const exo_index& index, uint64_t offset, exo_index_kind kind, uint32_t level,
              NodeBuffer& buffer, bool checksum);
// -EBADMSG with the file's name and the offset.
int damaged(const exo_index& index, uint64_t offset, const char* what);

// Appends the value of a leaf's slot to a buffer of `capacity` bytes (no more than fits); *length
// is the value's own. *nodes counts overflow nodes read.
int read_value(const exo_index& index, const NodeBuffer& leaf, uint32_t slot, bool checksum,
               void* value, size_t capacity, size_t* length, uint32_t* nodes);

// The caller's structure, of whatever version, with its answers cleared; and back to the caller.
int take_lookup(const exo_lookup* given, exo_lookup& lookup);
void give_lookup(exo_lookup& lookup, exo_lookup* given);

}  // namespace exo::internal
