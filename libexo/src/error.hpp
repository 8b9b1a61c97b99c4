// SPDX-License-Identifier: MIT
// How a function of the C interface fails: it leaves a line for exo_last_error() and returns
// -errno. Also keeps exceptions inside.
#pragma once

#include <cerrno>
#include <cstdint>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "exo/exo.h"

namespace exo::internal {

// Forgets the thread's last error; every failure sets its own.
void set_error(std::string message, std::string detail = {});

// Returns -code after recording a printf-style message.
[[gnu::format(printf, 2, 3)]] int fail(int code, const char* format, ...);

// "No such file or directory", thread-safe.
std::string errno_text(int code);

// Runs a body of a C function; memory exhaustion becomes -ENOMEM.
template <typename Body>
int guarded(Body&& body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return fail(ENOMEM, "out of memory");
    } catch (const std::exception& error) {
        return fail(EIO, "unexpected: %s", error.what());
    }
}

// The first of many errors, with its line, which those after it would replace.
class FirstError {
  public:
    // `answer` is negative, and was just returned by what set the thread's error.
    void note(int answer) {
        if (answer_ < 0) return;
        message_ = exo_last_error();
        answer_ = answer;
    }
    // The first error, or if there was none, `answer`.
    int answer_or(int answer) {
        if (answer_ == 0) return answer;
        set_error(std::move(message_));
        return answer_;
    }

  private:
    int answer_ = 0;
    std::string message_;
};

}  // namespace exo::internal
