// SPDX-License-Identifier: MIT
// How the applications here end when something goes wrong: saying what.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exo/result.hpp>
#include <string>
#include <utility>

[[noreturn]] inline void die(const std::string& message) {
    std::fprintf(stderr, "failed: %s\n", message.c_str());
    std::exit(1);
}

template <typename T>
T must(exo::Result<T> result) {
    if (!result) die(result.error().message);
    return std::move(*result);
}

inline void must(const exo::Result<>& result) {
    if (!result) die(result.error().message);
}
