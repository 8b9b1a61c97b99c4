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

// What a run of a script has open: slot name to inode. Paths begin at its root.
struct Play {
    Volume& volume;
    std::map<std::string, Ino> held{};
    Ino root = kRootIno;

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
    Script& create(const std::string& path, uint32_t mode = 0644);
    Script& mknod(const std::string& path, uint32_t mode, uint64_t rdev);
    Script& mkdir(const std::string& path);
    Script& symlink(const std::string& path, const std::string& target);
    Script& link(const std::string& from, const std::string& to);
    Script& unlink(const std::string& path);
    Script& rmdir(const std::string& path);
    Script& rename(const std::string& from, const std::string& to,
                   RenameMode mode = RenameMode::kReplace);
    // O_TMPFILE into a slot, and giving it a name.
    Script& unnamed(const std::string& slot);
    Script& name(const std::string& slot, const std::string& path);
    // Keeps a file open under a slot's name, or closes it.
    Script& hold(const std::string& path, const std::string& slot);
    Script& release(const std::string& slot);

    // Content. Text is made of `fill` and the offset, so that every sector differs. A path that
    // starts with '@' is a slot.
    Script& write(const std::string& path, uint64_t offset, size_t length, char fill);
    Script& truncate(const std::string& path, uint64_t size);
    Script& fallocate(const std::string& path, FallocateMode mode, uint64_t offset, uint64_t length,
                      bool keep_size);
    Script& copy(const std::string& from, uint64_t from_offset, const std::string& to,
                 uint64_t to_offset, size_t length);

    // Attributes and pins.
    Script& chmod(const std::string& path, uint32_t mode);
    Script& chown(const std::string& path, uint32_t uid, uint32_t gid);
    Script& utimens(const std::string& path, int64_t seconds);
    Script& set_xattr(const std::string& path, const std::string& name, const std::string& value);
    Script& remove_xattr(const std::string& path, const std::string& name);
    // An access or default ACL that lets one more user in.
    Script& set_acl(const std::string& path, bool access, uint32_t user);
    Script& pin(const std::string& path);
    Script& unpin(const std::string& path);
    // A pin that no crash survives.
    Script& lease(const std::string& path);

    // Durability.
    Script& sync();
    Script& fsync(const std::string& path);
    Script& fdatasync(const std::string& path);
    Script& trim();

    Script& custom(std::string what, std::function<Result<>(Play&)> action);

  private:
    Script& set_pinned(const std::string& path, bool persistent);
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
