// SPDX-License-Identifier: MIT
#include "fs/fuse/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "fs/base/log.h"
#include "fs/base/unique_fd.h"
#include "fs/device/open_device.h"
#include "fs/fuse/file_system.h"
#include "fs/fuse/pinning.h"
#include "fs/fuse/session.h"
#include "fs/fuse/workers.h"
#include "fs/grants/pins.h"
#include "fs/volume/volume.h"

namespace exo::fuse {
namespace {

// For holders of grants at unmount: they are told, and the unmount does not wait for them longer.
constexpr std::chrono::milliseconds kDetachGrace{500};

// Calls `on_signal` for each SIGINT, SIGTERM or SIGHUP until it is destroyed.
class SignalThread {
  public:
    explicit SignalThread(std::function<void()> on_signal)
        : stop_(eventfd(0, EFD_CLOEXEC)),
          thread_([this, on_signal = std::move(on_signal)] { work(on_signal); }) {}
    ~SignalThread() {
        const uint64_t one = 1;
        if (write(stop_.get(), &one, sizeof one) == sizeof one) thread_.join();
    }

  private:
    void work(const std::function<void()>& on_signal) {
        sigset_t signals;
        sigemptyset(&signals);
        for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
        const unique_fd arrived(signalfd(-1, &signals, SFD_CLOEXEC));
        pollfd waits[] = {{arrived.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
        for (;;) {
            if (poll(waits, 2, -1) < 0) continue;
            if (waits[1].revents) return;
            signalfd_siginfo info;
            if (read(arrived.get(), &info, sizeof info) == sizeof info) on_signal();
        }
    }

    unique_fd stop_;
    std::thread thread_;
};

Result<std::unique_ptr<BlockDevice>> open_for_mount(const MountRequest& request, bool claimed) {
    DeviceOptions options;
    options.read_only = request.read_only;
    options.exclusive = !claimed;
    // An image file's own file system may order and gather writes better than we can, and its page
    // cache keeps metadata. On a drive, the page cache would only be a second copy.
    struct stat st;
    options.direct = stat(request.device.c_str(), &st) != 0 || !S_ISREG(st.st_mode);
    options.before_waiting = Workers::before_waiting;
    options.after_waiting = Workers::after_waiting;
    return open_device(request.device, options);
}

// Makes the mount usable, from outside of the threads that serve it: the open() below waits for
// them.
Result<> finish_start(const MountRequest& request, grants::Pins& pins) {
    const unique_fd root(open(request.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (root.get() < 0)
        return fail(errno, "the new mount on " + request.directory +
                               " does not answer: " + describe(Error{errno, {}}));
    return pins.bind_mount(root.get());
}

// From the pins on disk to the end of the mount.
Result<> serve_mount(const MountRequest& request, Volume& volume, grants::Pins& pins,
                     const std::function<void()>& live) {
    FileSystem fs(volume, pins, request.read_only);
    EXO_TRY_ASSIGN(const auto pinned, pins.reconcile());
    for (const Ino ino : pinned) fs.open_files.set_pinned(ino);
    // Only now: until the strays were revoked, applications might have been reading the orphans'
    // blocks.
    if (!request.read_only) EXO_TRY(volume.reclaim_orphans());

    EXO_TRY_ASSIGN(const auto session, Session::mount(fs, request));
    Result<> started;
    std::thread starter([&] {
        started = finish_start(request, pins);
        session->widen_read_ahead();
        if (started)
            live();
        else
            session->abort();
    });
    Result<> served;
    {
        const SignalThread signals([&] { session->end_mount(); });
        std::unique_ptr<PinKeeper> keeper;
        if (!request.read_only) keeper = std::make_unique<PinKeeper>(fs);
        served = session->serve();
        session->abort();  // if it could not even start, the starter still waits for an answer
        starter.join();
    }
    fs.background.finish();  // its jobs answer requests of the session
    return started ? served : started;
}

}  // namespace

Result<> run_mount(const MountRequest& request, const grants::KernelModule& module,
                   const std::function<void()>& live) {
    const bool with_module = request.kernel_pins && module.takes(request.device);
    EXO_TRY_ASSIGN(auto device, open_for_mount(request, with_module));
    EXO_TRY_ASSIGN(const VolumeInfo facts, probe_volume(*device));

    // Before anything is written: from here on the module's claim keeps others from the device.
    std::unique_ptr<grants::KernelPins> kernel;
    if (with_module) {
        EXO_TRY_ASSIGN(kernel, module.attach(request.device, facts.uuid));
    }

    exo::MountOptions options;
    options.read_only = request.read_only;
    options.defer_orphans = true;
    options.discard = request.discard;
    if ((request.mount_flags & MS_NOATIME) != 0)
        options.atime = AtimeMode::kNever;
    else if ((request.mount_flags & MS_STRICTATIME) != 0)
        options.atime = AtimeMode::kStrict;
    EXO_TRY_ASSIGN(const auto volume, Volume::open(std::move(device), options));
    grants::Pins pins(*volume, std::move(kernel));

    bool was_live = false;
    Result<> result = serve_mount(request, *volume, pins, [&] {
        was_live = true;
        live();
    });
    // What the module lets go may be changed, and the device must be free once the volume is
    // closed. But grants taken over from a dead daemon must not suffer from a mount that did not
    // come about.
    if (was_live || !pins.took_over()) {
        if (const auto detached = pins.detach(kDetachGrace); !detached && result) result = detached;
    }
    if (const auto closed = volume->close(); !closed && result) result = closed;
    return result;
}

Result<> check_mountable(const MountRequest& request, const grants::KernelModule& module) {
    MountRequest read_only = request;
    read_only.read_only = true;
    const bool with_module = request.kernel_pins && module.takes(request.device);
    EXO_TRY_ASSIGN(auto device, open_for_mount(read_only, with_module));
    EXO_TRY(probe_volume(*device));
    return {};
}

}  // namespace exo::fuse
