// SPDX-License-Identifier: MIT
// CRC32C by ISA-L, whose function works on the inverted register.
#include "fs/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace exo {

uint32_t crc32c(const void* data, size_t length_bytes, uint32_t previous) {
    auto* bytes = static_cast<unsigned char*>(const_cast<void*>(data));
    uint32_t state = ~previous;
    while (length_bytes > 0) {
        const size_t piece = std::min<size_t>(length_bytes, 1u << 30);
        state = crc32_iscsi(bytes, int(piece), state);
        bytes += piece;
        length_bytes -= piece;
    }
    return ~state;
}

}  // namespace exo
