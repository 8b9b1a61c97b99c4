// SPDX-License-Identifier: MIT
// The kernel module behind /dev/exo. It takes block devices; an image file is mounted without it.
#pragma once

#include "fs/grants/kernel_pins.h"

namespace exo::grants {

KernelModule dev_exo_module();

}  // namespace exo::grants
