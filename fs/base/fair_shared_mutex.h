// SPDX-License-Identifier: MIT
// A shared mutex on which nobody waits for ever: glibc's lets readers in for as long as there are
// any, so that a writer may starve. Here all queue at a gate. Not recursive, not even for readers.
#pragma once

#include <mutex>
#include <shared_mutex>

namespace exo {

class FairSharedMutex {
  public:
    void lock() {
        const std::lock_guard queue(gate_);
        mutex_.lock();
    }
    void unlock() { mutex_.unlock(); }
    void lock_shared() {
        const std::lock_guard queue(gate_);
        mutex_.lock_shared();
    }
    void unlock_shared() { mutex_.unlock_shared(); }

  private:
    std::mutex gate_;  // held while waiting for mutex_: those who come later wait behind
    std::shared_mutex mutex_;
};

}  // namespace exo
