// SPDX-License-Identifier: MIT
#include "tests/fuse/posix.h"

#include <string.h>

#include <filesystem>

namespace exo::test {

MountedImage& shared_mount() {
    static MountedImage image;
    return image;
}

Folder::Folder() {
    static int number = 0;
    path_ = shared_mount().path("case-" + std::to_string(++number));
    REQUIRE(mkdir(path_.c_str(), 0777) == 0);
    REQUIRE(chmod(path_.c_str(), 0777) == 0);
}

Folder::~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string name_of_errno(int code) {
    const char* name = strerrorname_np(code);
    return code == 0 ? "success" : name ? name : std::to_string(code);
}

struct stat status_of(const std::string& path) {
    struct stat st{};
    REQUIRE_MESSAGE(lstat(path.c_str(), &st) == 0, path, ": ", name_of_errno(errno));
    return st;
}

}  // namespace exo::test
