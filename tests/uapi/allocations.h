// SPDX-License-Identifier: MIT
// Counts what the kernel allocates while something runs, by its own tracepoints: slab objects and
// pages, by anybody on the machine. Needs root and tracefs, which it mounts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "rig.h"

namespace exo::test {

class AllocationCounter {
  public:
    AllocationCounter();
    ~AllocationCounter();
    AllocationCounter(const AllocationCounter&) = delete;
    AllocationCounter& operator=(const AllocationCounter&) = delete;

    // The fewest of `rounds` runs, since others allocate meanwhile.
    uint64_t least(int rounds, const std::function<void()>& run);

  private:
    uint64_t count(const std::function<void()>& run);
    void write(const char* file, const char* text);
    uint64_t recorded() const;

    std::string folder_;
    Fd switch_;
};

}  // namespace exo::test
