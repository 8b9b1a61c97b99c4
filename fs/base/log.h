// SPDX-License-Identifier: MIT
// Where the file system says what it noticed (a backup superblock used, a journal replayed, a block
// that fails its checksum). The program that owns the volume chooses the sink; the default is
// stderr.
#pragma once

#include <functional>
#include <string_view>

namespace exo {

enum class LogLevel { kInfo, kWarning, kError };

using LogSink = std::function<void(LogLevel, std::string_view)>;

// Not thread-safe against log(): set it before any volume is opened.
void set_log_sink(LogSink sink);
void log(LogLevel level, std::string_view message);

}  // namespace exo
