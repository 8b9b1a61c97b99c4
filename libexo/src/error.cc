// SPDX-License-Identifier: MIT
// The thread's last error. See exo.h for the rules.
#include "error.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include "exo/exo.h"

namespace exo::internal {
namespace {

struct LastError {
    std::string message;
    std::string detail;
};

LastError& last_error() {
    thread_local LastError error;
    return error;
}

}  // namespace

void set_error(std::string message, std::string detail) {
    last_error() = {std::move(message), std::move(detail)};
}

int fail(int code, const char* format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    try {
        set_error(line);
    } catch (const std::bad_alloc&) {
        last_error().message.clear();
        last_error().detail.clear();
    }
    return -code;
}

std::string errno_text(int code) {
    char buffer[128];
    return strerror_r(code, buffer, sizeof(buffer));
}

}  // namespace exo::internal

extern "C" const char* exo_last_error(void) {
    return exo::internal::last_error().message.c_str();
}

extern "C" const char* exo_last_error_detail(void) {
    return exo::internal::last_error().detail.c_str();
}
