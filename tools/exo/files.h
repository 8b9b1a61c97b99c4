// SPDX-License-Identifier: MIT
// How subcommands use libexo: a Result becomes its value or the command's failure.
#pragma once

#include <exo/file.hpp>
#include <type_traits>
#include <utility>

#include "tools/exo/command.h"

namespace exo::tool {

template <typename T>
T take(Result<T> result) {
    if (!result) throw Failure(result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace exo::tool
