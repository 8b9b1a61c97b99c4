// SPDX-License-Identifier: MIT
// How the C++ interface answers: a value, or an error with a line for people.
//
// The classes live in an inline namespace named after the interface's version, so that a program
// may link code built against another one, or have its own exo::Error, without the two being mixed
// up.
#pragma once

#include <exo/exo.h>

#include <expected>
#include <string>

namespace exo::inline v0 {

struct Error {
    int code = 0;         // errno, positive
    std::string message;  // one line: what, with which object, what to do next
    std::string detail;   // more of it, such as a verifier's log; often empty
};

template <typename T = void>
using Result = std::expected<T, Error>;

// The error that a C function just returned.
inline std::unexpected<Error> last_error(int returned) {
    return std::unexpected(Error{-returned, exo_last_error(), exo_last_error_detail()});
}

inline Result<> check(int returned) {
    if (returned < 0) return last_error(returned);
    return {};
}

}  // namespace exo::inline v0
