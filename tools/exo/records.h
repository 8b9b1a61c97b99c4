// SPDX-License-Identifier: MIT
// Reads key-value records from text, for exo index build.
#pragma once

#include <functional>
#include <istream>
#include <string>
#include <string_view>

namespace exo::tool {

// Takes one record; a Failure it throws ends the reading.
using TakeRecord = std::function<void(std::string_view key, std::string_view value)>;

// One record a line, key TAB value; bytes are taken as they are. `name` is for messages.
void read_tsv(std::istream& input, const std::string& name, const TakeRecord& take);

// Debian package lists: the key is the package's name, the value its version and the first line of
// its description with a space between.
void read_debian_packages(std::istream& input, const std::string& name, const TakeRecord& take);

}  // namespace exo::tool
