// SPDX-License-Identifier: MIT
#include "fs/fuse/background.h"

#include <string>
#include <system_error>
#include <utility>

#include "fs/base/log.h"

namespace exo::fuse {

Background::Background() {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this] { work(); });
}

void Background::run(std::function<void()> job) {
    std::unique_lock lock(mutex_);
    if (finishing_) {
        lock.unlock();
        job();
        return;
    }
    jobs_.push_back(std::move(job));
    if (idle_ < jobs_.size() && threads_.size() < kMaxThreads) {
        try {
            threads_.emplace_back([this] { work(); });
        } catch (const std::system_error& error) {
            // The job is listed, and there is a thread that comes to it.
            log(LogLevel::kWarning,
                std::string("no further thread can be started: ") + error.what());
        }
    }
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
