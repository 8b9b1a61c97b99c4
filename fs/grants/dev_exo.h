// SPDX-License-Identifier: MIT
// The kernel module behind /dev/exo as KernelPins.
#pragma once

#include "fs/grants/kernel_pins.h"

namespace exo::grants {

// Whether the module is loaded. Its device has to be opened without O_EXCL then: the module claims it.
bool module_is_loaded();

// An AttachKernelPins. Null when the module is not loaded. `device_fd` must be open for reading and writing.
Result<std::unique_ptr<KernelPins>> attach_dev_exo(int device_fd, Uuid uuid);

}  // namespace exo::grants
