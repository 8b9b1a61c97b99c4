// SPDX-License-Identifier: MIT
// A FUSE mount whose files have whatever inode numbers and generations a test wants: the stand-in
// for the daemon, and for an adversary with a mount of their own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>

struct fuse_session;

namespace exo::test {

struct FakeFile {
    uint64_t ino = 0;
    uint64_t generation = 0;
    uint64_t size_bytes = 0;
    bool directory = false;
    uint32_t uid = 0;
    uint32_t mode = 0644;  // of a file
};

class FakeMount {
  public:
    // Mounts below $TMPDIR; the files cannot change afterwards. `options` as for mount.
    explicit FakeMount(std::map<std::string, FakeFile> files, const std::string& options = "");
    ~FakeMount();
    FakeMount(const FakeMount&) = delete;
    FakeMount& operator=(const FakeMount&) = delete;

    const std::string& path() const { return path_; }
    std::string path(const std::string& file) const { return path_ + "/" + file; }

    // For the request handlers.
    const FakeFile* find(const std::string& name) const;
    const FakeFile* find(uint64_t ino) const;

  private:
    std::map<std::string, FakeFile> files_;
    std::string path_;
    fuse_session* session_ = nullptr;
    std::thread loop_;
};

}  // namespace exo::test
