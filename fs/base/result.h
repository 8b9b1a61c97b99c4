// SPDX-License-Identifier: MIT
// The one result type of fs/: a value, or an errno with a sentence a person can act on. The
// sentence is empty where the errno alone says it all (ENOENT from a lookup), so hot paths allocate
// nothing.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <utility>

namespace exo {

struct Error {
    int code = EIO;       // positive errno
    std::string message;  // one line: what, which object, what to do; may be empty
};

template <typename T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(int code) {
    return std::unexpected<Error>(Error{code, {}});
}
inline std::unexpected<Error> fail(int code, std::string message) {
    return std::unexpected<Error>(Error{code, std::move(message)});
}

// The system's words for an errno; unlike strerror() from any thread.
std::string errno_text(int code);

// The message, or the system's words for the errno when there is none.
std::string describe(const Error& error);

}  // namespace exo

// Hands an error on to the caller; EXO_TRY_ASSIGN also declares or sets a variable.
#define EXO_TRY(expression)                                         \
    do {                                                            \
        if (auto exo_result_ = (expression); !exo_result_)          \
            return std::unexpected(std::move(exo_result_).error()); \
    } while (0)
#define EXO_CONCAT_(a, b) a##b
#define EXO_CONCAT(a, b) EXO_CONCAT_(a, b)
#define EXO_TRY_ASSIGN(target, expression) \
    EXO_TRY_ASSIGN_(EXO_CONCAT(exo_result_, __LINE__), target, expression)
#define EXO_TRY_ASSIGN_(result, target, expression)                 \
    auto result = (expression);                                     \
    if (!result) return std::unexpected(std::move(result).error()); \
    target = std::move(*result)
