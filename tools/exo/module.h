// SPDX-License-Identifier: MIT
// The module's side of /dev/exo for people who look at it or administer it: lists, counters, audit.
// What applications need (grants, traversals) is libexo's.
#pragma once

#include <linux/exo.h>

#include <cstdint>
#include <vector>

#include "fs/base/unique_fd.h"

namespace exo::tool {

// Open /dev/exo; every failure is thrown as a Failure that says what to do.
class Module {
  public:
    Module();

    exo_info info() const;
    exo_stats stats() const;
    std::vector<exo_volume_entry> volumes() const;
    std::vector<exo_pin_entry> pins() const;
    std::vector<exo_grant_entry> grants() const;
    std::vector<exo_program_entry> programs() const;
    void release(uint32_t volume_id, uint32_t grace_ms) const;
    // A descriptor that delivers struct exo_audit_event.
    unique_fd open_audit(bool from_now) const;

  private:
    template <typename Entry>
    std::vector<Entry> list(uint32_t kind, const char* what) const;

    unique_fd fd_;
};

const char* pin_state_text(uint32_t state);
const char* end_text(uint32_t cause);  // enum exo_end

}  // namespace exo::tool
