// SPDX-License-Identifier: MIT
// Looks keys up by traversals with the lookup program: what it is told, and what its answer means.
#pragma once

#include <string_view>

#include "exo/exo.h"

struct exo_index;

namespace exo::internal {

// As exo_index__lookup(), for a key that an index can hold.
int lookup_kernel(const exo_index& index, std::string_view key, exo_lookup& lookup);

// As exo_index__lookup_batch().
int lookup_kernel_batch(const exo_index& index, exo_index_query* queries, size_t count);

}  // namespace exo::internal
