// SPDX-License-Identifier: MIT
// The checksum of index nodes: CRC32C, by the processor where it can.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "exo_index.h"

namespace exo::internal {

inline constexpr std::array<uint32_t, 256> kCrc32cTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
        table[i] = crc;
    }
    return table;
}();

inline uint32_t crc32c_plain(uint32_t crc, const unsigned char* data, size_t size) {
    for (; size; size--) crc = crc >> 8 ^ kCrc32cTable[(crc ^ *data++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) inline uint32_t crc32c_fast(uint32_t crc,
                                                              const unsigned char* data,
                                                              size_t size) {
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, data += 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    return crc32c_plain(static_cast<uint32_t>(wide), data, size);
}
#endif

inline uint32_t crc32c(uint32_t crc, const void* data, size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
#if defined(__x86_64__)
    static const bool fast = __builtin_cpu_supports("sse4.2");
    if (fast) return ~crc32c_fast(~crc, bytes, size);
#endif
    return ~crc32c_plain(~crc, bytes, size);
}

// Of a whole node, its checksum field counting as zero.
inline uint32_t node_checksum(const void* node) {
    constexpr size_t at = offsetof(struct exo_index_node, checksum);
    constexpr uint32_t zero = 0;
    const auto* bytes = static_cast<const unsigned char*>(node);
    uint32_t crc = crc32c(0, bytes, at);
    crc = crc32c(crc, &zero, sizeof(zero));
    return crc32c(crc, bytes + at + sizeof(zero), EXO_INDEX_NODE_BYTES - at - sizeof(zero));
}

}  // namespace exo::internal
