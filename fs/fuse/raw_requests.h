// SPDX-License-Identifier: MIT
// Requests that libfuse (3.14) does not know, or passes on without what matters: O_TMPFILE, statx,
// and setting extended attributes with the kernel's word on the set-group-id bit.
#pragma once

#include "fs/fuse/file_system.h"

namespace exo::fuse {

// Serves the calling thread's request and answers on `fd`. False: it is one for libfuse.
bool serve_raw(FileSystem& fs, int fd);

}  // namespace exo::fuse
