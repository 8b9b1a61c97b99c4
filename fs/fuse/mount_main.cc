// SPDX-License-Identifier: MIT
#include "fs/fuse/mount_main.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <string>
#include <vector>

#include "fs/base/log.h"
#include "fs/base/unique_fd.h"
#include "fs/fuse/daemon.h"
#include "fs/fuse/mount_lock.h"
#include "fs/fuse/mount_options.h"
#include "fs/fuse/mount_record.h"
#include "fs/fuse/mount_table.h"
#include "fs/grants/dev_exo.h"

namespace exo::fuse {
namespace {

// A daemon that is still writing back after its umount gets this long before a new mount gives up.
constexpr std::chrono::seconds kMountPatience{10};

int complain(const char* program, const std::string& message, int exit_code) {
    fprintf(stderr, "%s: %s\n", program, message.c_str());
    return exit_code;
}

// A daemon that was killed leaves its mount behind, where every access fails. Such a one of ours is
// in the way of nobody but us. stat() would not tell: the kernel may still know the answer.
bool is_dead_mount(const std::string& directory) {
    struct statfs fs;
    return find_exo_mount(read_mount_table(), directory) != nullptr &&
           statfs(directory.c_str(), &fs) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

Result<> prepare_directory(const std::string& directory) {
    if (is_dead_mount(directory)) {
        if (umount2(directory.c_str(), MNT_DETACH) != 0)
            return fail(ENOTCONN, directory + " is a dead mount: umount it first");
        forget_mount(directory);
    }
    struct stat st;
    if (stat(directory.c_str(), &st) != 0)
        return fail(errno, directory + ": " + describe(Error{errno, {}}));
    if (!S_ISDIR(st.st_mode)) return fail(ENOTDIR, directory + " is not a directory");
    return {};
}

Result<> check_device(const std::string& device) {
    struct stat st;
    if (stat(device.c_str(), &st) != 0)
        return fail(errno, device + ": " + describe(Error{errno, {}}));
    if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
        return fail(ENOTBLK, device + " is neither a block device nor an image file");
    return {};
}

void log_to_syslog(LogLevel level, std::string_view message) {
    const int priority = level == LogLevel::kError     ? LOG_ERR
                         : level == LogLevel::kWarning ? LOG_WARNING
                                                       : LOG_INFO;
    syslog(priority, "%.*s", static_cast<int>(message.size()), message.data());
}

void log_to_stderr(LogLevel, std::string_view message) {
    fprintf(stderr, "exo: %.*s\n", static_cast<int>(message.size()), message.data());
}

void block_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
}

// Serving the mount must not wait for memory that only this mount could free by writing back.
void promise_not_to_recurse() {
    prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

void drop_terminal() {
    const unique_fd null(open("/dev/null", O_RDWR));
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (null) dup2(null.get(), fd);
}

// What the caller of mount left open is not ours to keep open for as long as the mount lives.
void close_all_but(std::initializer_list<int> kept) {
    std::vector<int> sorted(kept);
    std::ranges::sort(sorted);
    unsigned next = STDERR_FILENO + 1;
    for (const int fd : sorted) {
        if (fd < static_cast<int>(next)) continue;
        if (static_cast<unsigned>(fd) > next) close_range(next, static_cast<unsigned>(fd) - 1, 0);
        next = static_cast<unsigned>(fd) + 1;
    }
    close_range(next, ~0u, 0);
}

// Whether the daemon opened its volume for writing: asked with a trim that matches nothing.
bool daemon_may_write(const std::string& directory) {
    const unique_fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    fstrim_range nothing{0, UINT64_MAX, UINT64_MAX};
    return !fd || ioctl(fd.get(), FITRIM, &nothing) == 0 || errno != EROFS;
}

// The daemon: tells its parent over `report` how the start went. An empty report is success.
int run_daemon(const MountRequest& request, const grants::KernelModule& module, MountLock& lock,
               unique_fd report) {
    close_all_but({report.get(), lock.fd()});
    setsid();
    if (chdir("/") != 0) return kExitMountFailed;
    umask(0);
    openlog("exo", LOG_PID, LOG_DAEMON);
    set_log_sink(log_to_syslog);
    lock.write_owner(request.directory);

    const auto done = run_mount(request, module, [&] {
        drop_terminal();
        const char live = 0;
        if (write(report.get(), &live, 1) != 1)
            log(LogLevel::kWarning, "nobody waits for the mount");
        report.reset();
    });
    if (!report) forget_mount(request.directory);
    if (done) return 0;
    const std::string message = describe(done.error());
    if (report) {
        if (write(report.get(), message.data(), message.size()) < 0) return kExitMountFailed;
    } else {
        log(LogLevel::kError, request.device + ": " + message);
    }
    return kExitMountFailed;
}

// Waits for the daemon's report: empty when the mount is live, else what went wrong.
std::string read_report(int fd) {
    std::string report;
    char part[512];
    for (ssize_t n; (n = read(fd, part, sizeof part)) != 0;) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        report.append(part, static_cast<size_t>(n));
        if (report.back() == 0) return {};
    }
    return report.empty() ? "the daemon ended before the mount was ready (see the system log)"
                          : report;
}

int start_daemon(const char* program, const MountRequest& request,
                 const grants::KernelModule& module, MountLock& lock) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return complain(program, describe(Error{errno, {}}), kExitMountFailed);
    unique_fd reader(ends[0]), writer(ends[1]);
    const pid_t child = fork();
    if (child < 0) return complain(program, describe(Error{errno, {}}), kExitMountFailed);
    if (child == 0) {
        reader.reset();
        _exit(run_daemon(request, module, lock, std::move(writer)));
    }
    writer.reset();
    const std::string report = read_report(reader.get());
    if (report.empty()) {
        record_mount(request.device, request.directory);
        return 0;
    }
    int status;
    waitpid(child, &status, 0);  // so that the device is free again when we return
    return complain(program, report, kExitMountFailed);
}

// Changes the flags of the mount on the directory. The daemon is not asked: the kernel keeps
// writers out of a read-only mount by itself, after it has written back.
int remount(const char* program, const MountRequest& request) {
    const auto table = read_mount_table();
    const MountEntry* entry = find_exo_mount(table, request.directory);
    if (!entry)
        return complain(program, request.directory + " is not an exo mount", kExitMountFailed);
    const auto change = [&](unsigned long flags) {
        return ::mount(entry->source.c_str(), request.directory.c_str(), nullptr,
                       MS_REMOUNT | flags, nullptr) == 0;
    };
    if (!change(request.mount_flags))
        return complain(program,
                        "cannot remount " + request.directory + ": " + describe(Error{errno, {}}),
                        kExitMountFailed);
    if (!request.read_only && !daemon_may_write(request.directory)) {
        change(request.mount_flags | MS_RDONLY);
        return complain(program,
                        request.directory +
                            " was mounted read-only from the start: umount it and mount it again",
                        kExitMountFailed);
    }
    return 0;
}

bool is_mounted_here(const std::string& device) {
    return std::ranges::any_of(read_mount_table(), [&](const MountEntry& entry) {
        return entry.type == "fuse.exo" && entry.source == device;
    });
}

}  // namespace

int mount_main(int argc, char** argv, const grants::KernelModule& module) {
    const char* program = base_name(argv[0]);
    const auto parsed = parse_command_line(argc, argv);
    if (!parsed) return complain(program, parsed.error(), kExitUsage);
    const MountRequest& request = *parsed;

    if (const auto done = enter_mount_namespace(request.mount_namespace); !done)
        return complain(program, done.error(), kExitMountFailed);
    if (request.remount) return remount(program, request);
    if (const auto done = check_device(request.device); !done)
        return complain(program, describe(done.error()), kExitMountFailed);
    if (const auto done = prepare_directory(request.directory); !done)
        return complain(program, describe(done.error()), kExitMountFailed);

    const auto patience =
        is_mounted_here(request.device) ? std::chrono::milliseconds(0) : kMountPatience;
    auto lock = MountLock::acquire(request.device, request.directory, patience);
    if (!lock) return complain(program, lock.error(), kExitMountFailed);

    block_signals();
    if (request.fake || request.foreground) {
        set_log_sink(log_to_stderr);
        if (request.foreground && !request.fake) promise_not_to_recurse();
        const auto done =
            request.fake ? check_mountable(request, module) : run_mount(request, module, [] {});
        return done ? 0 : complain(program, describe(done.error()), kExitMountFailed);
    }
    promise_not_to_recurse();
    return start_daemon(program, request, module, *lock);
}

int mount_main(int argc, char** argv) {
    return mount_main(argc, argv, grants::dev_exo_module());
}

}  // namespace exo::fuse
