// SPDX-License-Identifier: MIT
// Inode numbers.
#pragma once

#include <cstdint>

namespace exo {

using Ino = uint64_t;

inline constexpr Ino kRootIno = 1;  // also FUSE_ROOT_ID

}  // namespace exo
