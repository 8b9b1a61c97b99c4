// SPDX-License-Identifier: MIT
// A fresh exo file system in an image file, mounted by a daemon of its own for one test, and
// cleaned up whatever happens. Also the small helpers that every test on a mount needs.
#pragma once

#include <linux/exo.h>
#include <sys/types.h>
#include <cstdint>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace exo::test {

// Why tests on a mount cannot run here; empty when they can.
std::string why_not();

class MountedImage {
  public:
    struct Options {
        uint64_t size_bytes = 256u << 20;
        bool fake_module = false;
        bool mount = true;
    };
    MountedImage() : MountedImage(Options{}) {}
    explicit MountedImage(const Options& options);
    ~MountedImage();
    MountedImage(const MountedImage&) = delete;

    std::string path(std::string_view name) const { return directory_ + "/" + std::string(name); }
    const std::string& directory() const { return directory_; }
    const std::string& image() const { return image_; }
    // A file of the fake module (fake_pins.h).
    std::string state(std::string_view name) const { return state_ + "/" + std::string(name); }

    // Exit code of mount.exo and umount.fuse.exo; what they printed is in output().
    int mount();
    int umount();
    int run_mount(const std::vector<std::string>& arguments);
    const std::string& output() const { return output_; }

    pid_t daemon() const;  // 0: there is none
    void kill_daemon();    // -9, and waits until it is gone
    bool is_mounted() const;
    uint64_t free_bytes() const;
    // Waits up to 5 s until as many are free: the kernel tells a little after unlink() that it has
    // forgotten the file, at an unmount perhaps never, and only then are its blocks given back.
    bool gets_free(uint64_t bytes) const;

    // Problems that fsck finds in the unmounted image, one per line.
    std::string fsck() const;

  private:
    Options options_;
    std::string base_, image_, directory_, state_, output_;
};

std::string read_file(const std::string& path);
// False: errno says why.
bool write_file(const std::string& path, std::string_view content);
std::string pattern(size_t length, unsigned seed);
// Runs `body` in a child process as this user; the result of body (0..255) is the child's.
int as_user(uid_t uid, gid_t gid, const std::function<int()>& body);

// The ioctls on files: 0 or the errno.
int pin(int fd, bool persistent);
int pin(const std::string& path, bool persistent);
int unpin(const std::string& path, uint32_t grace_ms = 0, exo_file_unpin* answer = nullptr);
exo_file_info info(const std::string& path);

}  // namespace exo::test
