// SPDX-License-Identifier: MIT
#include "fs/fuse/open_files.h"

#include <cerrno>

namespace exo::fuse {

void OpenFiles::drop_if_idle(Shard& shard, uint64_t ino) {
    const auto found = shard.files.find(ino);
    if (found != shard.files.end() && found->second.idle()) shard.files.erase(found);
}

bool OpenFiles::open(uint64_t ino, bool writable) {
    Shard& s = shard(ino);
    Lock lock(s.mutex);
    File& file = s.files[ino];
    if (writable && file.state != State::kFree) return false;
    ++file.opens;
    if (writable) ++file.writers;
    return true;
}

void OpenFiles::release(uint64_t ino, bool writable) {
    Shard& s = shard(ino);
    Lock lock(s.mutex);
    File& file = s.files[ino];
    --file.opens;
    if (writable) --file.writers;
    if (file.state == State::kPinning) s.changed.notify_all();
    drop_if_idle(s, ino);
}

bool OpenFiles::is_open(uint64_t ino) {
    Shard& s = shard(ino);
    Lock lock(s.mutex);
    const auto found = s.files.find(ino);
    return found != s.files.end() && found->second.opens != 0;
}

bool OpenFiles::has_writers(uint64_t ino) {
    Shard& s = shard(ino);
    Lock lock(s.mutex);
    const auto found = s.files.find(ino);
    return found != s.files.end() && found->second.writers != 0;
}

OpenFiles::Change OpenFiles::begin_change(uint64_t ino, Origin origin) {
    Shard& s = shard(ino);
    Lock lock(s.mutex);
    File& file = s.files[ino];
    const bool allowed = file.state == State::kFree ||
                         (file.state == State::kPinning && origin == Origin::kOpenFile);
    if (!allowed) return Change();
    ++file.changes;
    return Change(this, ino);
}

void OpenFiles::end_change(uint64_t ino) {
    Shard& s = shard(ino);
    Lock lock(s.mutex);
    File& file = s.files[ino];
    --file.changes;
    if (file.state == State::kPinning) s.changed.notify_all();
    drop_if_idle(s, ino);
}

bool OpenFiles::wait_for_pin_changes(Shard& shard, Lock& lock, uint64_t ino,
                                     std::chrono::steady_clock::time_point deadline) {
    return shard.changed.wait_until(lock, deadline, [&] {
        const auto found = shard.files.find(ino);
        return found == shard.files.end() || found->second.state == State::kFree ||
               found->second.state == State::kPinned;
    });
}

int OpenFiles::begin_pin(uint64_t ino, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    Shard& s = shard(ino);
    Lock lock(s.mutex);
    if (!wait_for_pin_changes(s, lock, ino, deadline)) return EBUSY;
    File& file =
        s.files[ino];  // its state keeps it from being dropped, and a rehash moves no element
    if (file.state == State::kPinned) return EEXIST;
    file.state = State::kPinning;
    if (s.changed.wait_until(lock, deadline,
                             [&] { return file.writers == 0 && file.changes == 0; }))
        return 0;
    file.state = State::kFree;
    s.changed.notify_all();
    drop_if_idle(s, ino);
    return ETXTBSY;
}

int OpenFiles::begin_pin_change(uint64_t ino, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    Shard& s = shard(ino);
    Lock lock(s.mutex);
    if (!wait_for_pin_changes(s, lock, ino, deadline)) return EBUSY;
    const auto found = s.files.find(ino);
    if (found == s.files.end() || found->second.state != State::kPinned) return ENODATA;
    found->second.state = State::kChanging;
    return 0;
}

void OpenFiles::end_pin_change(uint64_t ino, bool pinned) {
    Shard& s = shard(ino);
    Lock lock(s.mutex);
    s.files[ino].state = pinned ? State::kPinned : State::kFree;
    s.changed.notify_all();
    drop_if_idle(s, ino);
}

}  // namespace exo::fuse
