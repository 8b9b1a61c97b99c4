// SPDX-License-Identifier: MIT
// For the tests of POSIX rules: one mount shared by all cases of a program, a folder of its own for
// each, and calls as other users, whose outcome is an errno (0: it worked).
#pragma once

#include <doctest/doctest.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <string_view>

#include "tests/fuse/mounted_image.h"

namespace exo::test {

constexpr uid_t kAlice = 65534, kBob = 12345;
constexpr gid_t kTeam = 777;  // nobody's group

MountedImage& shared_mount();

// A new empty folder on the shared mount, world-writable; removed at the end.
class Folder {
  public:
    Folder();
    ~Folder();
    Folder(const Folder&) = delete;
    std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// The errno of a call that returns -1 on failure.
template <typename Call>
int errno_of(Call&& call) {
    errno = 0;
    return call() == -1 ? errno : 0;
}

// The same in a child process as this user with one group; another process also means that nothing
// is remembered by this one.
template <typename Call>
int errno_as(uid_t uid, Call&& call) {
    return as_user(uid, uid, [&] { return errno_of(call); });
}

std::string name_of_errno(int code);

// The file's state; the case fails when there is none.
struct stat status_of(const std::string& path);

}  // namespace exo::test

// `call` is an expression that returns -1 on failure.
#define CHECK_ERRNO(call, expected)                                                      \
    do {                                                                                 \
        const int code_ = exo::test::errno_of([&] { return call; });                     \
        CHECK_MESSAGE(code_ == (expected), #call, ": ", exo::test::name_of_errno(code_), \
                      ", expected ", exo::test::name_of_errno(expected));                \
    } while (false)
#define CHECK_ERRNO_AS(uid, call, expected)                                              \
    do {                                                                                 \
        const int code_ = exo::test::errno_as(uid, [&] { return call; });                \
        CHECK_MESSAGE(code_ == (expected), #call, ": ", exo::test::name_of_errno(code_), \
                      ", expected ", exo::test::name_of_errno(expected));                \
    } while (false)
