// SPDX-License-Identifier: MIT
// The small functions behind the headers of base/: error texts and the log sink.
#include <cstdio>
#include <system_error>

#include "fs/base/log.h"
#include "fs/base/result.h"

namespace exo {

std::string errno_text(int code) {
    return std::generic_category().message(code);
}

std::string describe(const Error& error) {
    return error.message.empty() ? errno_text(error.code) : error.message;
}

namespace {
LogSink& sink() {
    static LogSink instance = [](LogLevel level, std::string_view message) {
        const char* word = level == LogLevel::kError     ? "error: "
                           : level == LogLevel::kWarning ? "warning: "
                                                         : "";
        fprintf(stderr, "exo: %s%.*s\n", word, int(message.size()), message.data());
    };
    return instance;
}
}  // namespace

void set_log_sink(LogSink replacement) {
    sink() = std::move(replacement);
}

void log(LogLevel level, std::string_view message) {
    if (sink()) sink()(level, message);
}

}  // namespace exo
