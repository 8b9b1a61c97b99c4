// SPDX-License-Identifier: MIT
// What a fuzz input is: patches of bytes over one of a few base images that are built at start. The
// checksums of what was patched are put right afterwards, journal transactions included, so that a
// patch reaches the code behind them. Any sequence of bytes is an input.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "tests/support/memory_device.h"

namespace exo::fuzz {

// Input: base image (1), options of the run (1), then patches: which metadata block of the base
// (2), offset in it (2), length − 1 with bit 7 for "leave the checksum wrong" (1), bytes.
inline constexpr size_t kHeadBytes = 2;
inline constexpr size_t kPatchHeadBytes = 5;
inline constexpr size_t kMaxPatchBytes = 32;
inline constexpr size_t kMaxInputBytes = 2048;

struct Patch {
    uint16_t block;
    uint16_t offset;
    bool leave_checksum;
    std::vector<uint8_t> bytes;
};

struct Input {
    uint8_t base = 0;
    uint8_t options = 0;
    std::vector<Patch> patches;
};

Input decode(std::span<const uint8_t> bytes);
std::vector<uint8_t> encode(const Input& input);

// The image that an input stands for.
test::MemoryDevice make_image(const Input& input);

// A small step from one input to another, aware of what the blocks hold.
Input mutate(Input input, std::minstd_rand& random);

}  // namespace exo::fuzz
