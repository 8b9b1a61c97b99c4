// SPDX-License-Identifier: MIT
// One FUSE session: the connection to the kernel, the mount of it, and the threads that serve it.
#pragma once

#include <memory>
#include <string>

#include "fs/base/result.h"
#include "fs/fuse/file_system.h"
#include "fs/fuse/mount_options.h"

namespace exo::fuse {

class Session {
  public:
    // Mounts. Requests wait until serve() runs. `fs` must outlive the session.
    static Result<std::unique_ptr<Session>> mount(FileSystem& fs, const MountRequest& request);
    ~Session();  // unmounts, if it still is mounted

    // Serves requests on several threads until the mount is gone.
    Result<> serve();

    // Raises the kernel's read-ahead for this mount, as far as we may. It counts from when the
    // first request was answered.
    void widen_read_ahead() const;

    // Ends the mount, and so serve(), from another thread: cleanly when nobody uses it, else after
    // what is dirty was written back, with errors for those who still use it.
    void end_mount();
    // The same without regard for anybody.
    void abort();

  private:
    Session(FileSystem& fs, fuse_session* session, std::string directory)
        : fs_(fs), session_(session), directory_(std::move(directory)) {}
    bool is_mounted() const;

    FileSystem& fs_;
    fuse_session* session_;
    std::string directory_;
    std::string device_id_;  // of the mount, to recognise it under other mounts on the directory
};

}  // namespace exo::fuse
