// SPDX-License-Identifier: MIT
// A kernel module made of files, for testing the daemon where the real one cannot be loaded. What
// it "holds" survives the daemon, as the module does. It reads no data and grants nothing.
#pragma once

#include <string>

#include "fs/grants/kernel_pins.h"

namespace exo::test {

// Below the folder `state`:
//   pins    one line per pin: ino generation size extents
//   bound   present while a mount is bound
//   grants  a number, made by the test: so many grants are open on every pin
//   stuck   present: a read never completes, so unpin fails with ETIMEDOUT
//   limit   a number, made by the test: the most extents of one pin
//   log     one line per call
grants::KernelModule fake_module(const std::string& state);

}  // namespace exo::test
