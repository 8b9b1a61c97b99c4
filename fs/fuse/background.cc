// SPDX-License-Identifier: MIT
#include "fs/fuse/background.h"

#include <utility>

namespace exo::fuse {

void Background::run(std::function<void()> job) {
    std::unique_lock lock(mutex_);
    if (finishing_) {
        lock.unlock();
        job();
        return;
    }
    jobs_.push_back(std::move(job));
    if (idle_ < jobs_.size() && threads_.size() < kMaxThreads)
        threads_.emplace_back([this] { work(); });
    wake_.notify_one();
}

void Background::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        wake_.wait(lock, [&] { return finishing_ || !jobs_.empty(); });
        --idle_;
        if (jobs_.empty()) return;
        const auto job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        lock.lock();
    }
}

void Background::finish() {
    std::vector<std::thread> threads;
    {
        std::lock_guard lock(mutex_);
        finishing_ = true;
        threads.swap(threads_);
    }
    wake_.notify_all();
    for (std::thread& thread : threads) thread.join();
}

}  // namespace exo::fuse
