// SPDX-License-Identifier: MIT
// Structures of callers that were compiled with an older or a newer exo.h: copied as far as both
// sides know them.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "error.hpp"

namespace exo::internal {

// Copies what a caller hands in. One that is newer than this library may only leave zero what the
// library does not know; what an older one does not know is zero.
template <typename T>
int take_structure(const T* given, size_t bytes, T& ours) {
    const auto* from = reinterpret_cast<const unsigned char*>(given);
    for (size_t i = sizeof(T); i < bytes; i++) {
        if (from[i]) return fail(E2BIG, "something is asked that this version of libexo lacks");
    }
    ours = T{};
    memcpy(&ours, from, std::min(bytes, sizeof(T)));
    return 0;
}

// Copies an answer out, and nothing past the caller's `bytes`. NULL: he does not want it.
template <typename T>
void give_structure(const T& ours, T* wanted, size_t bytes) {
    if (!wanted) return;
    const size_t known = std::min(bytes, sizeof(T));
    auto* to = reinterpret_cast<unsigned char*>(wanted);
    memcpy(to, &ours, known);
    memset(to + known, 0, bytes - known);
}

// The same of structures that begin with their own size; NULL: the defaults.
template <typename Options>
int take_options(const Options* given, Options& options) {
    options = Options{};
    if (!given) return 0;
    if (given->size < sizeof(size_t)) return fail(EINVAL, "an options structure without its size");
    int error = take_structure(given, given->size, options);
    options.size = sizeof(Options);
    return error;
}

}  // namespace exo::internal
