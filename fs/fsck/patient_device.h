// SPDX-License-Identifier: MIT
// Asks for what could not be read once more. To a repair, what cannot be read is damaged and is
// given up; an error that is gone a moment later must not cost a journal.
#pragma once

#include <algorithm>

#include "fs/device/forwarding_device.h"

namespace exo::fsck {

class PatientDevice final : public ForwardingDevice {
  public:
    using ForwardingDevice::ForwardingDevice;

    Result<> run(std::span<const IoRequest> requests) override {
        Result<> done = under().run(requests);
        const bool only_reads = std::ranges::all_of(
            requests, [](const IoRequest& request) { return request.kind == IoKind::kRead; });
        return done || !only_reads ? done : under().run(requests);
    }
};

}  // namespace exo::fsck
