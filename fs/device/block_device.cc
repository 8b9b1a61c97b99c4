// SPDX-License-Identifier: MIT
#include "fs/device/block_device.h"

namespace exo {

Result<> BlockDevice::read(uint64_t offset_bytes, void* buffer, size_t length_bytes) {
    const iovec piece{buffer, length_bytes};
    const IoRequest request{IoKind::kRead, offset_bytes, {&piece, 1}};
    return run({&request, 1});
}

Result<> BlockDevice::write(uint64_t offset_bytes, const void* buffer, size_t length_bytes,
                            IoKind kind) {
    const iovec piece{const_cast<void*>(buffer), length_bytes};
    const IoRequest request{kind, offset_bytes, {&piece, 1}};
    return run({&request, 1});
}

}  // namespace exo
