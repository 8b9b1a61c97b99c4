// SPDX-License-Identifier: MIT
#include "fs/volume/inode_states.h"

#include <algorithm>

namespace exo {

void InodeStates::ref(Ino ino, uint64_t count, uint64_t sequence) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    auto [it, fresh] = s.states.try_emplace(ino);
    if (fresh) it->second.any = it->second.data = sequence;
    it->second.refs += count;
}

bool InodeStates::unref(Ino ino, uint64_t count) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    auto it = s.states.find(ino);
    if (it == s.states.end()) return false;
    it->second.refs -= std::min<uint64_t>(count, it->second.refs);
    if (it->second.refs > 0) return false;
    const bool orphan = it->second.orphan != 0;
    s.states.erase(it);
    s.placements.erase(ino);
    return orphan;
}

bool InodeStates::mark_orphan(Ino ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    auto it = s.states.find(ino);
    if (it == s.states.end() || it->second.refs == 0) return true;
    it->second.orphan = 1;
    return false;
}

void InodeStates::clear_orphan(Ino ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    if (auto it = s.states.find(ino); it != s.states.end()) it->second.orphan = 0;
}

bool InodeStates::referenced(Ino ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    auto it = s.states.find(ino);
    return it != s.states.end() && it->second.refs > 0;
}

InodeStates::DataLock InodeStates::data_lock(Ino ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    LockNode& node = s.locks[ino];
    node.users++;
    return {s, ino, node};
}

InodeStates::DataLock::~DataLock() {
    std::lock_guard lock(shard_.mutex);
    if (--node_.users == 0) shard_.locks.erase(ino_);
}

void InodeStates::place(Ino ino, BlockNo goal) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    if (goal == 0)
        s.placements.erase(ino);
    else if (s.states.contains(ino))
        s.placements[ino] = goal;
}

BlockNo InodeStates::placement(Ino ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    const auto it = s.placements.find(ino);
    return it == s.placements.end() ? 0 : it->second;
}

void InodeStates::zeroed(Ino ino, uint64_t sequence, uint64_t durable) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    std::erase_if(s.zeroed, [&](const auto& one) { return one.second <= durable; });
    s.zeroed[ino] = sequence;
}

uint64_t InodeStates::zeroed_by(Ino ino) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    const auto it = s.zeroed.find(ino);
    return it == s.zeroed.end() ? 0 : it->second;
}

void InodeStates::changed(Ino ino, uint64_t sequence, bool data) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    auto it = s.states.find(ino);
    if (it == s.states.end()) return;
    it->second.any = std::max(it->second.any, sequence);
    if (data) it->second.data = std::max(it->second.data, sequence);
}

InodeStates::Sequences InodeStates::sequences(Ino ino, uint64_t unknown) {
    Shard& s = shard(ino);
    std::lock_guard lock(s.mutex);
    auto it = s.states.find(ino);
    if (it == s.states.end() || it->second.refs == 0) return {unknown, unknown};
    return {it->second.any, it->second.data};
}

}  // namespace exo
