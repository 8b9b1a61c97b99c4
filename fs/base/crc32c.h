// SPDX-License-Identifier: MIT
// CRC32C (Castagnoli), as used by every checksum of the format. ISA-L picks the fastest code for
// the CPU.
#pragma once

#include <cstddef>
#include <cstdint>

namespace exo {

// The CRC of the bytes, or with `previous` the CRC of what came before followed by them.
uint32_t crc32c(const void* data, size_t length_bytes, uint32_t previous = 0);

}  // namespace exo
