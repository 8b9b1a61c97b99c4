// SPDX-License-Identifier: MIT
// What people who look at the module or administer it ask of it: lists, counters, audit. libexo
// does the work; here a failure becomes the command's.
#pragma once

#include <linux/exo.h>

#include <cstdint>
#include <vector>

#include "fs/base/unique_fd.h"

namespace exo::tool {

class Module {
  public:
    exo_info info() const;
    exo_stats stats() const;
    std::vector<exo_volume_entry> volumes() const;
    std::vector<exo_pin_entry> pins() const;
    std::vector<exo_grant_entry> grants() const;
    std::vector<exo_program_entry> programs() const;
    std::vector<exo_tenant_entry> tenants() const;
    void set_tenant(const exo_tenant_set& request) const;
    void release(uint32_t volume_id, uint32_t grace_ms) const;
    exo_revoke_id revoke(uint64_t grant_id, uint32_t grace_ms) const;
    // A descriptor that delivers struct exo_audit_event.
    unique_fd open_audit(bool from_now) const;
};

const char* pin_state_text(uint32_t state);

}  // namespace exo::tool
