// SPDX-License-Identifier: MIT
// Writes an empty volume. Checks that nothing of value is there unless told not to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "fs/base/result.h"
#include "fs/device/block_device.h"

namespace exo {

struct MkfsOptions {
    std::string label{};                            // at most 31 bytes
    std::optional<std::array<uint8_t, 16>> uuid{};  // random when absent
    uint64_t size_bytes = 0;                        // 0: the whole device
    uint64_t journal_bytes = 0;                     // 0: chosen by size
    uint32_t root_uid = 0;
    uint32_t root_gid = 0;
    uint32_t root_mode = 0755;
    bool discard = true;  // tell the device that its content is gone
};

struct MkfsSummary {
    std::array<uint8_t, 16> uuid;
    uint64_t size_blocks;
    uint64_t free_blocks;
    uint64_t journal_blocks;
    uint32_t groups;
};

Result<MkfsSummary> mkfs(BlockDevice& device, const MkfsOptions& options);

// Refuses a path that is mounted, in use, or carries a file system's or a partition table's
// signature; the message names what was found. Call it before opening the device for mkfs, unless
// the user said --force (a mounted device is refused even then).
Result<> mkfs_safety_check(const std::string& path, bool force);

}  // namespace exo
