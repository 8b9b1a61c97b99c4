// SPDX-License-Identifier: MIT
#include "fs/fuse/writers.h"

#include <cerrno>

namespace exo::fuse {

void Writers::drop_if_idle(Shard& shard, uint64_t ino) {
    const auto found = shard.files.find(ino);
    if (found == shard.files.end()) return;
    const File& file = found->second;
    if (file.writers == 0 && file.changes == 0) {
        if (file.state == State::free) shard.files.erase(found);
        shard.quiet.notify_all();
    }
}

bool Writers::open_for_write(uint64_t ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    File& file = s.files[ino];
    if (file.state != State::free) return false;
    ++file.writers;
    return true;
}

void Writers::release(uint64_t ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    --s.files[ino].writers;
    drop_if_idle(s, ino);
}

Writers::Change Writers::begin_change(uint64_t ino, Origin origin) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    File& file = s.files[ino];
    const bool allowed = file.state == State::free ||
                         (file.state == State::pinning && origin == Origin::open_file);
    if (!allowed) return Change();
    ++file.changes;
    return Change(this, ino);
}

void Writers::end_change(uint64_t ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    --s.files[ino].changes;
    drop_if_idle(s, ino);
}

int Writers::begin_pin(uint64_t ino, std::chrono::milliseconds patience) {
    Shard& s = shard(ino);
    std::unique_lock lock(s.mutex);
    File& file = s.files[ino];  // stays where it is: a rehash moves no element, and its state keeps it
    if (file.state != State::free) return file.state == State::pinned ? EEXIST : EBUSY;
    file.state = State::pinning;
    if (s.quiet.wait_for(lock, patience, [&] { return file.writers == 0 && file.changes == 0; }))
        return 0;
    file.state = State::free;
    drop_if_idle(s, ino);
    return ETXTBSY;
}

void Writers::finish_pin(uint64_t ino, bool pinned) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    s.files[ino].state = pinned ? State::pinned : State::free;
    drop_if_idle(s, ino);
}

int Writers::begin_unpin(uint64_t ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    const auto found = s.files.find(ino);
    if (found == s.files.end() || found->second.state == State::free) return ENODATA;
    if (found->second.state != State::pinned) return EBUSY;
    found->second.state = State::unpinning;
    return 0;
}

void Writers::finish_unpin(uint64_t ino, bool still_pinned) { finish_pin(ino, still_pinned); }

void Writers::set_pinned(uint64_t ino) { finish_pin(ino, true); }

}  // namespace exo::fuse
