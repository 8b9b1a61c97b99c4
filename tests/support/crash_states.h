// SPDX-License-Identifier: MIT
// Walks through a recorded stream of writes, flushes and discards and makes the images that a power
// cut may leave at each point. What was not flushed may be lost, whole, or torn between 512-byte
// sectors, each block for itself; so may the write-through that is in flight. A discard may take
// effect or not, even much later: the device decides.
#pragma once

#include <random>
#include <vector>

#include "tests/support/faulty_device.h"

namespace exo::test {

class CrashStates {
  public:
    CrashStates(const MemoryDevice& before, const std::vector<Recorded>& log);
    // Moves to the cut after `records` records, the next of which may be in flight. Only forward.
    void advance(size_t records);
    // Blocks written or discarded whose fate is open.
    size_t open() const { return open_.size() + in_flight_.size(); }

    MemoryDevice none_survive() const { return durable_; }
    MemoryDevice all_survive() const;
    // A random choice; REQUIRES: open() > 0
    MemoryDevice some_survive(std::mt19937_64& random) const;

  private:
    // One block of a write or discard.
    struct Unit {
        size_t record;
        size_t at;  // of the block, in the record's range
    };
    void add(size_t record, std::vector<Unit>& units) const;
    void close(const Recorded& record);
    void apply(MemoryDevice& image, const Unit& unit) const;
    void tear(MemoryDevice& image, const Unit& unit, std::mt19937_64& random) const;

    MemoryDevice durable_;
    const std::vector<Recorded>& log_;
    size_t position_ = 0;
    std::vector<Unit> open_, in_flight_;
};

}  // namespace exo::test
