// SPDX-License-Identifier: MIT
// A mounted exo volume: every operation of the file system, by inode number, without FUSE. Owns the
// layers below it. It does not check permissions (the kernel does), nor talk to the kernel
// module: pins are marked here, and registered there by fs/grants.
//
// All functions may be called from any thread. Operations on metadata are atomic: after a crash
// each is there in full or not at all. They are durable after fsync() of the object, or sync().
//
// Lifetime of inodes. lookup(), create(), mkdir(), symlink(), link() and readdir_plus() take one
// reference on the inode they return, which the caller gives back with close_ref() (FUSE: forget);
// open_ref() takes more. An inode whose last link goes stays readable and writable by number until
// its last reference is given back and it is not pinned; then its blocks are freed. Every operation
// on an inode requires that the caller holds a reference on it (the root needs none).
#pragma once

#include <sys/stat.h>
#include <time.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/base/ino.h"
#include "fs/base/result.h"
#include "fs/device/block_device.h"

namespace exo {

inline constexpr size_t kMaxNameBytes = 255;
inline constexpr size_t kMaxXattrBytes = 65536;      // of a value
inline constexpr size_t kMaxXattrListBytes = 65536;  // of all names, each with a zero byte

// When reading sets the access time. kRelative: when it is not newer than the last change, or a day
// old. Reads that the kernel serves from its cache are not seen here.
enum class AtimeMode { kRelative, kNever, kStrict };

struct MountOptions {
    bool read_only = false;
    // The volume commits by itself this often, and writes the log home in the background.
    // 0: only when asked (fsync, sync, a full log): deterministic, for tests.
    uint32_t commit_interval_ms = 5000;
    size_t cache_bytes = 96u << 20;  // of metadata, but for what the running transaction changed
    // Leave inodes that lost their last link before a crash alone until reclaim_orphans() is
    // called: the kernel module may still let applications read the blocks of pinned ones.
    bool defer_orphans = false;
    bool discard = false;  // tell the device about freed blocks
    AtimeMode atime = AtimeMode::kRelative;
};

struct FileAttr {
    Ino ino = 0;
    uint32_t generation = 0;  // differs between an inode number's successive uses; never 0
    uint32_t mode = 0;        // type and permissions as in st_mode
    uint32_t nlink = 0;
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint64_t rdev = 0;  // as makedev()
    uint64_t size = 0;
    uint64_t blocks_512 = 0;  // as st_blocks
    timespec atime{}, mtime{}, ctime{}, btime{};
    bool pinned = false;
    bool pin_persistent = false;
};

// Fields without a value stay as they are. ctime is set by every change.
struct SetAttr {
    std::optional<uint32_t> mode;  // permission bits
    std::optional<uint32_t> uid;
    std::optional<uint32_t> gid;
    std::optional<uint64_t> size;  // as truncate()
    std::optional<timespec> atime;
    std::optional<timespec> mtime;
    std::optional<timespec> ctime;
};

struct VolumeStats {
    uint64_t block_bytes, blocks, blocks_free, blocks_available;
    uint64_t inodes, inodes_free;  // inodes are made on demand: free ones follow free space
};

struct VolumeInfo {
    std::array<uint8_t, 16> uuid;
    std::string label;
    uint64_t size_bytes;
    bool read_only;
    bool journal_replayed;  // it was not unmounted cleanly
};

struct DirEntry {
    std::string name;
    Ino ino;
    uint32_t mode;    // type bits only, unless attr is filled
    uint64_t cookie;  // pass to readdir to go on after this entry; positive as int64_t
    FileAttr attr;    // by readdir_plus only
};

struct FileExtent {
    uint64_t file_offset, disk_offset, length;  // bytes; multiples of 4096
    bool unwritten;                             // allocated, reads as zeros
};

struct PinnedInode {
    Ino ino;
    uint32_t generation;
};

enum class RenameMode { kReplace, kNoReplace, kExchange };

enum class XattrMode { kSet, kCreate, kReplace };

enum class FallocateMode { kAllocate, kPunchHole, kZeroRange };

// What changes are dated with: as precise as a tick, as the kernel's own times. With a finer clock
// a file could be older than one made before it.
timespec current_time();

struct VolumeImpl;

class Volume {
  public:
    static Result<std::unique_ptr<Volume>> open(std::unique_ptr<BlockDevice> device,
                                                const MountOptions& options);
    ~Volume();  // closes, ignoring errors, if close() was not called
    Volume(const Volume&) = delete;
    Volume& operator=(const Volume&) = delete;

    // Makes everything durable, marks the volume clean. No other call may be running or follow.
    Result<> close();
    // Everything done before the call is durable after it.
    Result<> sync();
    VolumeStats statfs() const;
    VolumeInfo info() const;
    BlockDevice& device();
    // Frees what crashed unlinks left behind (see MountOptions::defer_orphans).
    Result<> reclaim_orphans();
    // Tells the device about all free space of at least min_bytes runs; returns the bytes told.
    Result<uint64_t> trim(uint64_t min_bytes);

    // -- names
    Result<FileAttr> lookup(Ino parent, std::string_view name);
    // mode carries the type: S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO or S_IFSOCK. A set-group-id
    // directory gives its group to what is made in it. Where the directory has a default ACL, that
    // becomes the new inode's ACL (and a new directory's default) and limits the mode; else the
    // umask does. With FUSE_CAP_POSIX_ACL and FUSE_CAP_DONT_MASK the kernel leaves both to us.
    Result<FileAttr> create(Ino parent, std::string_view name, uint32_t mode, uint32_t uid,
                            uint32_t gid, uint64_t rdev = 0, uint32_t umask = 0);
    Result<FileAttr> mkdir(Ino parent, std::string_view name, uint32_t mode, uint32_t uid,
                           uint32_t gid, uint32_t umask = 0);
    Result<FileAttr> symlink(Ino parent, std::string_view name, std::string_view target,
                             uint32_t uid, uint32_t gid);
    Result<FileAttr> link(Ino ino, Ino new_parent, std::string_view new_name);
    // A regular file with no name, to be named by link() (O_TMPFILE). Gone after a crash.
    Result<FileAttr> create_unnamed(Ino parent, uint32_t mode, uint32_t uid, uint32_t gid,
                                    uint32_t umask = 0);
    Result<> unlink(Ino parent, std::string_view name);
    Result<> rmdir(Ino parent, std::string_view name);
    Result<> rename(Ino parent, std::string_view name, Ino new_parent, std::string_view new_name,
                    RenameMode mode);
    Result<std::string> readlink(Ino ino);
    // Entries after the cookie, "." and ".." included; start with 0; an empty list is the end.
    // Cookies stay valid while entries come and go: an entry that is there all the time is seen
    // once.
    Result<std::vector<DirEntry>> readdir(Ino dir, uint64_t cookie, size_t max_entries);
    // The same with attributes. Takes a reference on every entry but "." and "..".
    Result<std::vector<DirEntry>> readdir_plus(Ino dir, uint64_t cookie, size_t max_entries);

    // -- inodes
    Result<FileAttr> getattr(Ino ino);
    // A new mode also changes the access ACL, if there is one (as the kernel's posix_acl_chmod).
    Result<FileAttr> setattr(Ino ino, const SetAttr& changes);
    Result<> open_ref(Ino ino);
    void close_ref(Ino ino, uint64_t count = 1);

    // -- extended attributes: user.*, trusted.*, security.* and the two POSIX ACLs, by full name.
    // Also of pinned inodes: they are neither data nor extents. Errors: ERANGE for a name that is
    // empty or too long, EOPNOTSUPP for another namespace, E2BIG for a value over kMaxXattrBytes,
    // ENODATA, EEXIST, and ENOSPC also when the list of names would get too long. The caller
    // compares the value with its buffer (ERANGE).
    // Setting system.posix_acl_access sets the permission bits too, and keeps no ACL that says no
    // more than they do; an ACL without entries removes it. clear_sgid: also drop S_ISGID then
    // (FUSE_SETXATTR_ACL_KILL_SGID, or: the caller is neither in the group nor has CAP_FSETID).
    Result<> set_xattr(Ino ino, std::string_view name, std::span<const std::byte> value,
                       XattrMode mode, bool clear_sgid = false);
    Result<std::vector<std::byte>> get_xattr(Ino ino, std::string_view name);
    Result<std::string> list_xattr(Ino ino);  // names, each followed by a zero byte
    Result<> remove_xattr(Ino ino, std::string_view name);

    // -- data
    // Bytes read; fewer than asked only at the end of the file.
    Result<size_t> read(Ino ino, uint64_t offset, std::span<std::byte> buffer);
    // All of it or an error (some of it may have been written then). Sets mtime and ctime.
    Result<size_t> write(Ino ino, uint64_t offset, std::span<const std::byte> data);
    Result<> truncate(Ino ino, uint64_t size);
    // The last one who wrote to the file has closed it: gives back what was set aside behind it.
    void closed(Ino ino);
    // Where more than eight extents change, a crash or an error may leave a part, in the old size.
    // Blocks that a punched or zeroed range takes in part are overwritten, as by write().
    Result<> fallocate(Ino ino, FallocateMode mode, uint64_t offset, uint64_t length,
                       bool keep_size);
    // As copy_file_range: copies up to `length` bytes, holes as holes, and returns how many: fewer
    // at the source's end, and at most kMaxCopyBytes. EINVAL when the ranges overlap in one file.
    // What the kernel holds dirty of the source must have been written before.
    static constexpr uint64_t kMaxCopyBytes = 64u << 20;
    Result<uint64_t> copy_range(Ino source, uint64_t source_offset, Ino target,
                                uint64_t target_offset, uint64_t length);
    // As lseek: SEEK_DATA or SEEK_HOLE; ENXIO at or past the end.
    Result<uint64_t> seek(Ino ino, uint64_t offset, int whence);
    // Data and what is needed to read it back (data_only), or all of the inode, and its name.
    Result<> fsync(Ino ino, bool data_only);

    // -- layout and pins
    // Where new blocks of a regular file should go if there is room: at this byte of the device, or
    // behind the data of another file. Blocks that follow each other in the file stay together, so
    // it counts for the first ones, and after a gap. Kept in memory while the inode is referenced.
    // EINVAL outside of the volume; 0 takes the hint back.
    Result<> set_placement(Ino ino, uint64_t disk_offset);
    Result<> set_placement_near(Ino ino, Ino other);
    // Extents from the one at or after offset on; at most max_extents.
    Result<std::vector<FileExtent>> extents_of(Ino ino, uint64_t offset, size_t max_extents);
    uint64_t extent_count(Ino ino);  // 0 when unknown
    // Makes a regular file immutable: its data and extents are on stable storage when the call
    // returns and nothing here changes them until clear_pinned(). A persistent pin survives
    // remount; calling it again may make a pin persistent. Extents that are unwritten read as
    // zeros: leave them out of a pin's map. The inode keeps its blocks while pinned, even when
    // unlinked. EEXIST when already pinned as asked.
    Result<> set_pinned(Ino ino, bool persistent);
    // ENODATA when not pinned. Call it only when the kernel module has let go of the extents. A
    // persistent pin is off the disk when it returns.
    Result<> clear_pinned(Ino ino);
    // Persistent pins, found at mount without a scan.
    Result<std::vector<PinnedInode>> pinned_inodes();

  private:
    explicit Volume(std::unique_ptr<VolumeImpl> impl);
    std::unique_ptr<VolumeImpl> impl_;
};

// What is on a device, without mounting it: the superblock's facts, or why there are none.
Result<VolumeInfo> probe_volume(BlockDevice& device);

}  // namespace exo
