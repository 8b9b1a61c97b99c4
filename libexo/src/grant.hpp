// SPDX-License-Identifier: MIT
// One traversal, for the library's own callers, who say all of it.
#pragma once

#include "exo/exo.h"

namespace exo::internal {

// EXO_GRANT_TRAVERSE, with the error's line if it did not start.
int traverse(int grant_fd, struct exo_traverse& request);

}  // namespace exo::internal
