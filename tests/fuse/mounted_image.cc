// SPDX-License-Identifier: MIT
#include "tests/fuse/mounted_image.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "fs/base/unique_fd.h"
#include "fs/device/open_device.h"
#include "fs/fsck/fsck.h"
#include "fs/fuse/mount_table.h"
#include "fs/mkfs/mkfs.h"

namespace exo::test {
namespace {

namespace filesystem = std::filesystem;

void check(bool good, const std::string& what) {
    if (!good) throw std::runtime_error(what + ": " + strerror(errno));
}

// Runs a program, and returns its exit code and what it printed.
int run(const std::vector<std::string>& command, std::string& output) {
    int ends[2];
    check(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    const pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        std::vector<char*> arguments;
        for (const std::string& argument : command)
            arguments.push_back(const_cast<char*>(argument.c_str()));
        arguments.push_back(nullptr);
        execv(arguments[0], arguments.data());
        _exit(127);
    }
    close(ends[1]);
    output.clear();
    // Until the program itself ends: a daemon that kept our pipe open would make this wait for
    // ever, and the test fail by its time limit.
    char part[512];
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;)
        output.append(part, static_cast<size_t>(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::string why_not() {
    if (geteuid() != 0) return "mounting needs root";
    const unique_fd fuse(open("/dev/fuse", O_RDWR | O_CLOEXEC));
    return fuse ? "" : "/dev/fuse cannot be opened";
}

MountedImage::MountedImage(const Options& options) : options_(options) {
    char name[] = "/var/tmp/exo-fuse-XXXXXX";
    check(mkdtemp(name) != nullptr, "mkdtemp");
    base_ = name;
    chmod(name, 0755);  // other users of the tests have to get to the mount
    image_ = base_ + "/image";
    directory_ = base_ + "/mnt";
    state_ = base_ + "/module";
    filesystem::create_directory(directory_);
    filesystem::create_directory(state_);
    std::ofstream(image_).close();
    filesystem::resize_file(image_, options.size_bytes);
    {
        auto device = open_device(image_, {});
        if (!device) throw std::runtime_error(describe(device.error()));
        if (const auto made = mkfs(**device, {}); !made)
            throw std::runtime_error(describe(made.error()));
    }
    if (options.mount && mount() != 0) throw std::runtime_error("mount: " + output_);
}

MountedImage::~MountedImage() {
    for (int i = 0; is_mounted() && i < 10; ++i) umount2(directory_.c_str(), MNT_DETACH);
    // An unmounted daemon ends by itself; one that does not is helped, so that nothing outlives the
    // test.
    for (int i = 0; daemon() != 0 && i < 200; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (daemon() != 0) kill_daemon();
    std::error_code ignored;
    filesystem::remove_all(base_, ignored);
}

int MountedImage::run_mount(const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {EXO_MOUNTD, options_.fake_module ? state_ : "none"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run(command, output_);
}

int MountedImage::mount() {
    return run_mount({image_, directory_});
}

int MountedImage::umount() {
    return run({EXO_MOUNTD, "umount", directory_}, output_);
}

namespace {
// Its arguments, each followed by a space; none when it has ended, which may happen while they are
// read.
std::string command_line(const std::string& pid) {
    std::string command;
    try {
        command = read_file("/proc/" + pid + "/cmdline");
    } catch (const std::ios_base::failure&) {
        return {};
    }
    std::ranges::replace(command, '\0', ' ');
    return command;
}
}  // namespace

pid_t MountedImage::daemon() const {
    for (const auto& process : filesystem::directory_iterator("/proc")) {
        const std::string pid = process.path().filename();
        if (!std::ranges::all_of(pid, [](char c) { return c >= '0' && c <= '9'; })) continue;
        const std::string command = command_line(pid);
        if (command.starts_with(EXO_MOUNTD) && command.find(image_ + " ") != std::string::npos)
            return std::stoi(pid);
    }
    return 0;
}

void MountedImage::kill_daemon() {
    const pid_t pid = daemon();
    if (pid == 0) return;
    kill(pid, SIGKILL);
    while (daemon() == pid) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

bool MountedImage::is_mounted() const {
    const auto table = fuse::read_mount_table();
    return fuse::find_exo_mount(table, directory_) != nullptr;
}

uint64_t MountedImage::free_bytes() const {
    struct statvfs now;
    if (statvfs(directory_.c_str(), &now) != 0) throw std::runtime_error("statvfs " + directory_);
    return uint64_t(now.f_bfree) * now.f_frsize;
}

bool MountedImage::gets_free(uint64_t bytes) const {
    for (int i = 0; i < 500; ++i) {
        if (free_bytes() >= bytes) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

std::string MountedImage::fsck() const {
    DeviceOptions options;
    options.read_only = true;
    auto device = open_device(image_, options);
    if (!device) return describe(device.error());
    const auto report = fsck_check(**device);
    if (!report) return describe(report.error());
    std::string text;
    for (const std::string& problem : report->problems) text += problem + "\n";
    return text;
}

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

bool write_file(const std::string& path, std::string_view content) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return false;
    int code = 0;
    while (!content.empty() && code == 0) {
        const ssize_t n = write(fd, content.data(), content.size());
        if (n < 0)
            code = errno;
        else
            content.remove_prefix(static_cast<size_t>(n));
    }
    if (close(fd) != 0 && code == 0) code = errno;
    errno = code;
    return code == 0;
}

std::string pattern(size_t length, unsigned seed) {
    std::string text(length, 0);
    uint32_t state = seed * 2654435761u + 1;
    for (char& c : text) {
        state = state * 1664525u + 1013904223u;
        c = static_cast<char>(state >> 24);
    }
    return text;
}

int as_user(uid_t uid, gid_t gid, const std::function<int()>& body) {
    const pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        if (setgroups(0, nullptr) != 0 || setgid(gid) != 0 || setuid(uid) != 0) _exit(254);
        _exit(body());
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int pin(int fd, bool persistent) {
    exo_file_pin request{persistent ? EXO_PIN_PERSISTENT : 0, 0};
    return ioctl(fd, EXO_FILE_PIN, &request) == 0 ? 0 : errno;
}

int pin(const std::string& path, bool persistent) {
    const unique_fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return fd ? pin(fd.get(), persistent) : errno;
}

int unpin(const std::string& path, uint32_t grace_ms, exo_file_unpin* answer) {
    const unique_fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    exo_file_unpin request{};
    request.grace_ms = grace_ms;
    if (!fd || ioctl(fd.get(), EXO_FILE_UNPIN, &request) != 0) return errno;
    if (answer) *answer = request;
    return 0;
}

exo_file_info info(const std::string& path) {
    const unique_fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    exo_file_info result{};
    check(fd && ioctl(fd.get(), EXO_FILE_INFO, &result) == 0, "EXO_FILE_INFO " + path);
    return result;
}

}  // namespace exo::test
