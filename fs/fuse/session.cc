// SPDX-License-Identifier: MIT
#include "fs/fuse/session.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "fs/base/log.h"
#include "fs/base/unique_fd.h"
#include "fs/fuse/connection.h"
#include "fs/fuse/mount_table.h"
#include "fs/fuse/ops.h"

namespace exo::fuse {
namespace {

constexpr unsigned kMaxBackground = 64;  // read-ahead and asynchronous direct requests in flight
constexpr size_t kReadAheadBytes = 1u << 20;
constexpr size_t kMaxLogLine = 512;

void set_if_capable(fuse_conn_info* connection, unsigned capability, bool wanted) {
    if (wanted && (connection->capable & capability))
        connection->want |= capability;
    else
        connection->want &= ~capability;
}

void init(void* user_data, fuse_conn_info* connection) {
    const FileSystem& fs = *static_cast<FileSystem*>(user_data);
    const struct {
        unsigned capability;
        bool wanted;
    } choices[] = {
        {FUSE_CAP_ASYNC_READ, true},
        {FUSE_CAP_ASYNC_DIO, true},
        {FUSE_CAP_ATOMIC_O_TRUNC, true},  // one request instead of two
        {FUSE_CAP_IOCTL_DIR, true},
        {FUSE_CAP_PARALLEL_DIROPS, true},  // the volume has its own locks
        {FUSE_CAP_READDIRPLUS, true},
        {FUSE_CAP_READDIRPLUS_AUTO, true},
        {FUSE_CAP_CACHE_SYMLINKS, true},
        {FUSE_CAP_NO_OPENDIR_SUPPORT, true},
        // Safe for pins by the argument in open_files.h.
        {FUSE_CAP_WRITEBACK_CACHE, !fs.read_only},
        // Nobody but the kernel's own requests changes data, so a new mtime never means stale
        // pages.
        {FUSE_CAP_EXPLICIT_INVAL_DATA, true},
        {FUSE_CAP_AUTO_INVAL_DATA, false},
        // Its second version is asked for in connection.cc: with the first the kernel would ask for
        // security.capability at every write.
        {FUSE_CAP_HANDLE_KILLPRIV, false},
        // Every open must be seen: writers are counted (open_files.h).
        {FUSE_CAP_NO_OPEN_SUPPORT, false},
        // Data goes through our buffers, from where it is checked and laid out: a pipe would only
        // add calls.
        {FUSE_CAP_SPLICE_READ, false},
        {FUSE_CAP_SPLICE_WRITE, false},
        {FUSE_CAP_SPLICE_MOVE, false},
        // One machine only: the kernel's own locks do, and handles by inode number are not kept
        // open.
        {FUSE_CAP_POSIX_LOCKS, false},
        {FUSE_CAP_FLOCK_LOCKS, false},
        {FUSE_CAP_EXPORT_SUPPORT, false},
        // The kernel checks ACLs; the umask is ours, as a default ACL takes its place.
        {FUSE_CAP_DONT_MASK, true},
        {FUSE_CAP_POSIX_ACL, true},
    };
    for (const auto& choice : choices) set_if_capable(connection, choice.capability, choice.wanted);
    connection->max_background = kMaxBackground;
    connection->congestion_threshold = kMaxBackground * 3 / 4;
}

void log_of_libfuse(fuse_log_level level, const char* format, va_list arguments) {
    char line[kMaxLogLine];
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\n")] = 0;
    log(level <= FUSE_LOG_ERR ? LogLevel::kError : LogLevel::kWarning, line);
}

fuse_lowlevel_ops make_ops() {
    fuse_lowlevel_ops ops{};
    ops.init = init;
    set_name_ops(ops);
    set_attribute_ops(ops);
    set_file_ops(ops);
    set_directory_ops(ops);
    set_xattr_ops(ops);
    set_ioctl_ops(ops);
    return ops;
}

Result<unique_fd> open_fuse_device() {
    unique_fd fd(open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (fd.get() >= 0) return fd;
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        return fail(errno, "there is no /dev/fuse: load the kernel's fuse module (modprobe fuse)");
    return fail(errno, std::string("cannot open /dev/fuse: ") + describe(Error{errno, {}}));
}

// As root we mount ourselves rather than by libfuse: with every flag of mount(2), exact errors and
// no output.
Result<unique_fd> mount_as_root(const MountRequest& request) {
    EXO_TRY_ASSIGN(unique_fd fd, open_fuse_device());
    std::string data = "fd=" + std::to_string(fd.get()) +
                       ",rootmode=40000,user_id=0,group_id=0,default_permissions";
    if (request.allow_other) data += ",allow_other";
    if (::mount(request.device.c_str(), request.directory.c_str(), "fuse.exo", request.mount_flags,
                data.c_str()) != 0)
        return fail(errno,
                    "cannot mount on " + request.directory + ": " + describe(Error{errno, {}}));
    return fd;
}

std::string id_of_mount_on(const std::string& directory) {
    const auto table = read_mount_table();
    const MountEntry* entry = find_exo_mount(table, directory);
    return entry ? entry->device_id : std::string();
}

}  // namespace

Result<std::unique_ptr<Session>> Session::mount(FileSystem& fs, const MountRequest& request) {
    fuse_set_log_func(log_of_libfuse);
    const bool root = geteuid() == 0;
    std::string options = "fsname=" + request.device + ",subtype=exo,default_permissions";
    if (request.allow_other) options += ",allow_other";
    if (request.read_only) options += ",ro";

    std::string name = "exo", option = "-o";
    std::array<char*, 4> arguments{name.data(), option.data(), options.data(), nullptr};
    fuse_args args = FUSE_ARGS_INIT(root ? 1 : 3, arguments.data());
    static const fuse_lowlevel_ops ops = make_ops();
    fuse_session* session = fuse_session_new(&args, &ops, sizeof ops, &fs);
    if (!session) return fail(ENOMEM, "the FUSE session cannot be set up");
    std::unique_ptr<Session> result(new Session(fs, session, request.directory));
    fs.session = session;

    if (root) {
        EXO_TRY_ASSIGN(unique_fd fd, mount_as_root(request));
        result->device_id_ = id_of_mount_on(request.directory);
        // libfuse's way of taking over a descriptor that is mounted already; it closes it in the
        // end.
        const std::string path = "/dev/fd/" + std::to_string(fd.release());
        if (fuse_session_mount(session, path.c_str()) != 0)
            return fail(EIO, "the FUSE session cannot take its connection over");
    } else {
        if (fuse_session_mount(session, request.directory.c_str()) != 0)
            return fail(EPERM, "cannot mount on " + request.directory +
                                   " as an ordinary user (fusermount3 said why)");
        result->device_id_ = id_of_mount_on(request.directory);
    }
    return result;
}

Session::~Session() {
    if (is_mounted()) {
        if (geteuid() == 0)
            umount2(directory_.c_str(), MNT_DETACH);
        else
            fuse_session_unmount(session_);
    }
    fuse_session_destroy(session_);
}

bool Session::is_mounted() const {
    return !device_id_.empty() && id_of_mount_on(directory_) == device_id_;
}

Result<> Session::serve() {
    EXO_TRY_ASSIGN(Connection connection, Connection::take(fs_, session_));
    return connection.serve();
}

void Session::widen_read_ahead() const {
    // The kernel's default of 128 KiB is an eighth of what one request can carry.
    const std::string path = "/sys/class/bdi/" + device_id_ + "/read_ahead_kb";
    const unique_fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    const std::string value = std::to_string(kReadAheadBytes / 1024);
    if (!file || write(file.get(), value.data(), value.size()) < 0) {
        // An ordinary user's mount: reading is only slower.
    }
}

void Session::end_mount() {
    if (!is_mounted()) return;  // unmounted, or lazily: then serve() ends with the last user
    if (geteuid() != 0) return fuse_session_unmount(session_);
    if (umount2(directory_.c_str(), 0) == 0) return;
    log(LogLevel::kWarning, directory_ + " is still in use while the daemon has to end");
    unique_fd root(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (root.get() >= 0) syncfs(root.get());
    root.reset();
    abort();
}

void Session::abort() {
    // MNT_FORCE aborts the connection, which ends serve() and fails every request that waits.
    if (is_mounted()) umount2(directory_.c_str(), MNT_FORCE | MNT_DETACH);
}

}  // namespace exo::fuse
