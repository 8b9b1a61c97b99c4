// SPDX-License-Identifier: MIT
// What is done with an image, however damaged: it is mounted and used, checked, repaired, and then
// must be sound. Aborts with a line on stderr when a promise is broken.
#pragma once

#include <cstdint>
#include <span>

namespace exo::fuzz {

void run_image(std::span<const uint8_t> bytes);

}  // namespace exo::fuzz
