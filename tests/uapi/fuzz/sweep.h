// SPDX-License-Identifier: MIT
// Makes every allocation, user access and request of a call fail once, in turn: the call must say
// so or cope, and what it leaves is looked at after each. Needs a kernel with fault injection,
// which tests/vm/15-uapi-faults.sh prepares. One thread's faults only: workers have theirs at
// random there.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>

namespace exo::test {

inline constexpr unsigned kMostFaults = 5000;

// While it lives, the nth thing that can fail in this thread does.
class Fault {
  public:
    explicit Fault(unsigned nth) : fd_(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC)) {
        REQUIRE_MESSAGE(fd_ >= 0, "this kernel cannot inject faults");
        set(nth);
    }
    ~Fault() { close(fd_); }
    Fault(const Fault&) = delete;
    Fault& operator=(const Fault&) = delete;

    // Chances until it happens.
    unsigned left() {
        char text[16] = {};
        // Reading is a user access, too: with one chance left it fails itself.
        return pread(fd_, text, sizeof(text) - 1, 0) > 0 ? static_cast<unsigned>(atoi(text)) : 1;
    }

    // Whether it has happened.
    bool stop() {
        bool happened = left() == 0;
        set(0);
        return happened;
    }

  private:
    void set(unsigned nth) {
        std::string text = std::to_string(nth);
        while (pwrite(fd_, text.data(), text.size(), 0) < 0) {
        }
    }

    int fd_;
};

// What a call may answer that something failed under.
inline bool definite(int ret) {
    return ret >= 0 || ret == -ENOMEM || ret == -EFAULT || ret == -EIO || ret == -EAGAIN ||
           ret == -ENFILE || ret == -ENOSPC;
}

// Calls act() with one fault after the other until it comes through without; undo() follows each.
// Both run without faults first, so that what is allocated once for all is there.
inline void sweep(
    const std::string& what, const std::function<int()>& act,
    const std::function<void()>& undo = [] {}) {
    CAPTURE(what);
    CHECK(act() >= 0);
    undo();
    for (unsigned nth = 1; nth < kMostFaults; nth++) {
        CAPTURE(nth);
        Fault fault(nth);
        int ret = act();
        bool happened = fault.stop();
        undo();
        if (!happened) {
            CHECK(ret >= 0);
            MESSAGE(what << ": " << nth - 1 << " faults");
            return;
        }
        CAPTURE(ret);
        CHECK(definite(ret));
    }
    FAIL(what << " does not come to its end");
}

}  // namespace exo::test
