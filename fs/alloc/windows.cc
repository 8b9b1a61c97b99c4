// SPDX-License-Identifier: MIT
#include "fs/alloc/windows.h"

#include <algorithm>

namespace exo {

uint64_t Windows::size_for(uint64_t blocks, uint64_t more) {
    // Most files are written at once and never grow; those that grow tend to go on.
    if (blocks == 0 && more < kMinBlocks) return 0;
    return std::clamp(std::max(blocks, more), kMinBlocks, kMaxBlocks);
}

Windows::Order::iterator Windows::erase(Order::iterator window) {
    blocks_ -= window->space.count();
    by_ino_.erase(window->ino);
    return order_.erase(window);
}

Reservation Windows::take(Ino ino, BlockNo goal, uint64_t want) {
    std::lock_guard lock(mutex_);
    const auto it = by_ino_.find(ino);
    if (it == by_ino_.end()) return {};
    const auto window = it->second;
    if (window->space.start() != goal) {
        erase(window);
        return {};
    }
    Reservation front = window->space.split_front(std::min(want, window->space.count()));
    blocks_ -= front.count();
    window->used = Clock::now();
    order_.splice(order_.begin(), order_, window);
    if (window->space.count() == 0) erase(window);
    return front;
}

void Windows::keep(Ino ino, Reservation rest) {
    if (rest.count() == 0) return;
    std::lock_guard lock(mutex_);
    if (const auto it = by_ino_.find(ino); it != by_ino_.end()) erase(it->second);
    blocks_ += rest.count();
    order_.push_front({ino, std::move(rest), Clock::now()});
    by_ino_[ino] = order_.begin();
    if (order_.size() > kMaxWindows) erase(std::prev(order_.end()));
}

void Windows::drop(Ino ino) {
    std::lock_guard lock(mutex_);
    if (const auto it = by_ino_.find(ino); it != by_ino_.end()) erase(it->second);
}

uint64_t Windows::drop_all() {
    std::lock_guard lock(mutex_);
    const uint64_t blocks = blocks_;
    while (!order_.empty()) erase(order_.begin());
    return blocks;
}

void Windows::drop_idle(Clock::time_point now) {
    std::lock_guard lock(mutex_);
    while (!order_.empty() && now - order_.back().used > kIdle) erase(std::prev(order_.end()));
}

uint64_t Windows::blocks() const {
    std::lock_guard lock(mutex_);
    return blocks_;
}

}  // namespace exo
