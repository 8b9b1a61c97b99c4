// SPDX-License-Identifier: MIT
// A workload as a list of steps, each one operation of the file system by path, as a user would do
// it. The same script is recorded for power cuts and run again and again with I/O errors; so steps
// give results, and keep nothing but what they hold open.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/volume/volume.h"

namespace exo::test {

// What a run of a script has open: slot name to inode.
struct Play {
    Volume& volume;
    std::map<std::string, Ino> held;

    ~Play();
    Result<Ino> find(std::string_view path);  // takes a reference
};

struct Step {
    enum class Sync : uint8_t { kNone, kAll, kFile };
    std::string what;
    std::function<Result<>(Play&)> action;
    Sync sync = Sync::kNone;
    std::string path{};  // that is synced, or changed in place
    // Changes content of the file from this offset on where it lies, which a crash may show in
    // part, sector by sector. What is behind the end does not count.
    std::optional<uint64_t> in_place{};
    bool data_only = false;  // fdatasync
};

class Script {
  public:
    const std::vector<Step>& steps() const { return steps_; }

    // Names.
    Script& create(std::string path, uint32_t mode = 0644);
    Script& mknod(std::string path, uint32_t mode, uint64_t rdev);
    Script& mkdir(std::string path);
    Script& symlink(std::string path, std::string target);
    Script& link(std::string from, std::string to);
    Script& unlink(std::string path);
    Script& rmdir(std::string path);
    Script& rename(std::string from, std::string to, RenameMode mode = RenameMode::kReplace);
    // O_TMPFILE into a slot, and giving it a name.
    Script& unnamed(std::string slot);
    Script& name(std::string slot, std::string path);
    // Keeps a file open under a slot's name, or closes it.
    Script& hold(std::string path, std::string slot);
    Script& release(std::string slot);

    // Content. Text is made of `fill` and the offset, so that every sector differs. A path that
    // starts with '@' is a slot.
    Script& write(std::string path, uint64_t offset, size_t length, char fill);
    Script& truncate(std::string path, uint64_t size);
    Script& fallocate(std::string path, FallocateMode mode, uint64_t offset, uint64_t length,
                      bool keep_size);
    Script& copy(std::string from, uint64_t from_offset, std::string to, uint64_t to_offset,
                 size_t length);

    // Attributes and pins.
    Script& chmod(std::string path, uint32_t mode);
    Script& chown(std::string path, uint32_t uid, uint32_t gid);
    Script& utimens(std::string path, int64_t seconds);
    Script& set_xattr(std::string path, std::string name, std::string value);
    Script& remove_xattr(std::string path, std::string name);
    // An access or default ACL that lets one more user in.
    Script& set_acl(std::string path, bool access, uint32_t user);
    Script& pin(std::string path);
    Script& unpin(std::string path);

    // Durability.
    Script& sync();
    Script& fsync(std::string path);
    Script& fdatasync(std::string path);
    Script& trim();

    Script& custom(std::string what, std::function<Result<>(Play&)> action);

  private:
    Step& add(std::string what, std::function<Result<>(Play&)> action);
    std::vector<Step> steps_;
};

struct Workload {
    const char* name;
    Script (*script)();
    MountOptions options{};
};

// All of them; each is a test of its own.
const std::vector<Workload>& workloads();
const Workload* find_workload(std::string_view name);

}  // namespace exo::test
