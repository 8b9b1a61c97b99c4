// SPDX-License-Identifier: MIT
// How subcommands use libexo: a Result becomes its value or the command's failure.
#pragma once

#include <exo/file.hpp>
#include <string>
#include <utility>

#include "tools/exo/command.h"
#include "tools/exo/output.h"

namespace exo::tool {

template <typename T>
T take(Result<T> result) {
    if (!result) throw Failure(result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Bytes that may not be text, as a member of a JSON object: as they are if they are UTF-8, else
// NAME_hex.
void put_bytes(Json& object, const std::string& name, std::string_view bytes);

// Bytes within a line of text: control characters as \xNN.
std::string printable(std::string_view bytes);

}  // namespace exo::tool
