// SPDX-License-Identifier: MIT
// The ways to read a chain of blocks, each of which says where the next one lies. Measuring them is
// left to paths.cc.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rig.h"

namespace exo::bench {

struct Way {
    std::string name;
    std::function<void(uint32_t depth)> run;
    uint32_t chains = 1;  // of one run, side by side
    bool kept = false;    // all blocks but the last are in the node cache
};

// Owns what the ways use; made once per device, which a volume is made of meanwhile.
class Ways {
  public:
    static constexpr uint32_t kBlock = 512;

    // With `polled`, the ways that look for completions; else those that are told by interrupts.
    Ways(const std::string& device, bool polled);
    ~Ways();
    Ways(const Ways&) = delete;
    Ways& operator=(const Ways&) = delete;

    const std::vector<Way>& all() const { return ways_; }
    const Way& exo() const;  // one traversal by the engine's default

  private:
    struct Ring;

    void add_reads();
    void add_io_uring();
    void add_traversal(const std::string& name, uint16_t engine);
    void add_exo();
    void pin_kept();
    void add_kept(const std::string& name, uint16_t engine);
    void add_floor();
    exo_traverse request(uint32_t depth) const;

    bool polled_;
    test::Rig rig_;
    const test::Program& follow_;
    const test::Program& levels_;
    test::Fd kept_file_, kept_;  // of a file whose blocks are kept, and its grant
    uint64_t leaf_;
    test::Fd raw_;
    test::Fd floor_;
    alignas(4096) std::array<uint8_t, 4096> buffer_ = {};  // of zeros: so is what the device reads
    std::unique_ptr<Ring> reads_;
    std::unique_ptr<Ring> commands_;
    std::vector<exo_traverse> entries_;
    std::vector<Way> ways_;
};

[[noreturn]] void fail(const char* what);

}  // namespace exo::bench
