// SPDX-License-Identifier: MIT
// What the header of an index says, in exo.h's words.
#pragma once

#include "exo/exo.h"
#include "exo_index.h"

namespace exo::internal {

inline exo_index_info info_of(const exo_index_header& header) {
    exo_index_info info = {};
    info.build_id = header.node.build_id;
    info.file_bytes = header.file_bytes;
    info.records = header.records;
    info.key_bytes = header.key_bytes;
    info.value_bytes = header.value_bytes;
    info.leaf_nodes = header.leaf_nodes;
    info.inner_nodes = header.inner_nodes;
    info.overflow_nodes = header.overflow_nodes;
    info.root_offset = header.root_offset;
    info.depth = header.root_level + 1;
    info.node_bytes = header.node_bytes;
    info.max_key_bytes = header.max_key_bytes;
    info.max_value_bytes = header.max_value_bytes;
    return info;
}

}  // namespace exo::internal
