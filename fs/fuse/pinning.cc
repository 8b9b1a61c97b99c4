// SPDX-License-Identifier: MIT
#include "fs/fuse/pinning.h"

#include "fs/base/log.h"

namespace exo::fuse {
namespace {

constexpr std::chrono::seconds kKeeperPeriod{1};
constexpr std::chrono::milliseconds kRetryPause{200};
constexpr int kLeaseEndAttempts = 50;

void forget_lease(FileSystem& fs, Ino ino) {
    std::lock_guard lock(fs.leases_mutex);
    fs.leases.erase(ino);
}

Result<> make_persistent(FileSystem& fs, Ino ino) {
    // ENODATA: unpinned in between; to the caller that is a race lost, as EEXIST is.
    if (const int code = fs.open_files.begin_pin_change(ino, kWriterPatience))
        return fail(code == ENODATA ? EBUSY : code);
    const auto done = fs.pins.make_persistent(ino);
    if (done) forget_lease(fs, ino);
    fs.open_files.end_pin_change(ino, true);
    return done;
}

}  // namespace

Result<> pin_file(FileSystem& fs, const OpenFile& file, bool persistent) {
    if (fs.read_only) return fail(EROFS);
    if (!fs.pins.has_kernel()) return fail(ENODEV);
    const int code = fs.open_files.begin_pin(file.ino, kWriterPatience);
    if (code == EEXIST && persistent) return make_persistent(fs, file.ino);
    if (code != 0) return fail(code);
    const auto done = fs.pins.pin(file.ino, persistent);
    if (done && !persistent) {
        std::lock_guard lock(fs.leases_mutex);
        fs.leases[file.ino] = &file;
    }
    fs.open_files.end_pin_change(file.ino, done.has_value());
    return done;
}

Result<grants::Revoked> unpin_file(FileSystem& fs, Ino ino, std::chrono::milliseconds grace) {
    if (const int code = fs.open_files.begin_pin_change(ino, kWriterPatience)) return fail(code);
    // Ours until the number is free for writers: an unlinked file's inode may be used anew right
    // after.
    const bool referenced = fs.volume.open_ref(ino).has_value();
    auto done = fs.pins.unpin(ino, grace);
    if (done) forget_lease(fs, ino);
    fs.open_files.end_pin_change(ino, !done.has_value());
    if (referenced) fs.volume.close_ref(ino);
    return done;
}

void end_lease_of(FileSystem& fs, const OpenFile& file) {
    {
        std::lock_guard lock(fs.leases_mutex);
        const auto lease = fs.leases.find(file.ino);
        if (lease == fs.leases.end() || lease->second != &file) return;
        fs.leases.erase(lease);
    }
    fs.background.run([&fs, ino = file.ino] {
        for (int attempt = 1;; ++attempt) {
            const auto done = unpin_file(fs, ino, kLeaseGrace);
            if (done || done.error().code == ENODATA) return;
            if (attempt == kLeaseEndAttempts) {
                log(LogLevel::kError,
                    "the lease of inode " + std::to_string(ino) +
                        " cannot be ended, it stays pinned: " + describe(done.error()));
                return;
            }
            std::this_thread::sleep_for(kRetryPause);
        }
    });
}

PinKeeper::PinKeeper(FileSystem& fs) : fs_(fs), thread_([this] { work(); }) {}

PinKeeper::~PinKeeper() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    stop_.notify_all();
    thread_.join();
}

void PinKeeper::work() {
    std::unique_lock lock(mutex_);
    while (!stop_.wait_for(lock, kKeeperPeriod, [&] { return stopping_; })) {
        if (!fs_.names_removed.exchange(false)) continue;
        lock.unlock();
        const auto candidates = fs_.pins.nameless();
        for (const auto& candidate : candidates) {
            const bool in_use = candidate.granted || fs_.open_files.is_open(candidate.ino);
            if (in_use || !unpin_file(fs_, candidate.ino, std::chrono::milliseconds(0)))
                fs_.names_removed = true;  // look again
        }
        lock.lock();
    }
}

}  // namespace exo::fuse
