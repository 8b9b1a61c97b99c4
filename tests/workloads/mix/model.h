// SPDX-License-Identifier: MIT
// What a process believes to be in its folder: names, kinds, contents. Saved to a file beside the
// mount, so that it can be compared again after a remount.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>

namespace mix {

struct File {
    std::string content;
    mode_t mode = 0644;
};

// A file (perhaps with several names), a symlink, or else a directory.
struct Node {
    std::shared_ptr<File> file;
    std::string target;
    bool directory() const { return !file && target.empty(); }
};

class Model {
  public:
    std::map<std::string, Node> nodes;  // by path in the folder

    // Compares with what is there; ends the process with a message when something differs.
    void compare(const std::string& folder) const;
    void save(const std::string& path) const;
    void load(const std::string& path);  // nothing, if there is no such file
};

[[noreturn]] void differs(const std::string& what);
std::string error_text();  // of errno
// For calls that must succeed: ends the process with the name of the call when `result` is < 0.
long check(long result, const std::string& what);
std::string read_whole(const std::string& path);

}  // namespace mix
